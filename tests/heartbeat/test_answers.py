"""What a reply means: only our own JSON acknowledges."""

from __future__ import annotations

from typing import Any

import pytest

from tokenbeat.heartbeat.answers import (
    Acknowledged,
    Busy,
    Cloned,
    Failed,
    FieldRefused,
    KeyRefused,
    Misdirected,
    Reply,
    TooLarge,
    WindowTaken,
    read_answer,
)

NOON_NS = 1_775_044_800_000_000_000  # 2026-04-01T12:00:00Z


def read(status: int, body: str = "", *, kind: str = "application/json", **more: Any) -> object:
    reply = Reply(status=status, content_type=kind, body=body.encode(), **more)
    return read_answer(reply, now_wall_ns=NOON_NS)


def test_our_json_acknowledges() -> None:
    assert read(200, '{"revision": 7, "nextHeartbeatMs": 5000, "nonce": "n"}') == Acknowledged(
        revision=7, nonce="n", next_heartbeat_ms=5_000
    )


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '{"revision": -1}', '{"revision": "7"}', '{"revision": true}',
     '{"revision": 1.0}', '{"revision": 9223372036854775808}', "[" * 100_000],
)  # fmt: skip
def test_other_json_acknowledges_nothing(body: str) -> None:
    assert isinstance(read(200, body), Misdirected)


def test_json_under_another_content_type_acknowledges_nothing() -> None:
    assert isinstance(read(200, '{"revision": 7}', kind="text/html"), Misdirected)


@pytest.mark.parametrize("status", [201, 202, 206, 301, 302, 304, 400, 403, 404, 405, 418])
def test_other_statuses_acknowledge_nothing(status: int) -> None:
    assert isinstance(read(status, '{"revision": 7}'), Misdirected)


def test_the_statuses_with_a_meaning() -> None:
    assert read(204) == WindowTaken()
    assert read(401) == KeyRefused()
    assert read(413) == TooLarge()
    assert read(409, '{"type": "https://x.example/problems/clone"}') == Cloned()
    assert isinstance(read(409, '{"type": "https://x.example/problems/other"}'), Misdirected)
    assert read(502) == Failed(status=502, reason="HTTP 502")


@pytest.mark.parametrize(
    ("header", "after_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999999999999999", 600.0),
        ("Wed, 01 Apr 2026 12:01:00 GMT", 60.0),
        ("Wed, 01 Apr 2026 12:01:00", 60.0),
        ("Wed, 01 Apr 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("\u0667", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, after_s: float | None) -> None:
    assert read(429, retry_after=header) == Busy(status=429, after_s=after_s)
    assert read(503, retry_after=header) == Busy(status=503, after_s=after_s)


@pytest.mark.parametrize(
    ("body", "field", "largest"),
    [
        ('{"field": "a.b[0].c", "largest": 5}', "a.b[0].c", 5),
        ('{"field": "a", "largest": -5}', "a", None),
        ('{"field": "a", "largest": true}', "a", None),
        ('{"field": 7}', None, None),
        ('{"detail": [{"loc": ["body", "usage", "models", 0, "modelId"]}]}',
         "usage.models[0].modelId", None),
        ('{"detail": []}', None, None),
        ('{"detail": ["x"]}', None, None),
        ('{"detail": [{"loc": "x"}]}', None, None),
        ('{"detail": "no"}', None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_a_422_names_a_field_or_not(body: str, field: str | None, largest: int | None) -> None:
    answer = read(422, body, kind="application/problem+json")
    assert isinstance(answer, FieldRefused)
    assert (answer.field, answer.largest) == (field, largest)


def test_a_403_says_which_field_of_the_key_is_wrong() -> None:
    body = '{"field": "tokenbeat.service.name", "detail": "this key is for another service"}'
    answer = read(403, body, kind="application/problem+json")
    assert isinstance(answer, Misdirected)
    assert "tokenbeat.service.name: this key is for another service" in answer.reason
