"""Bad input to the heartbeat: the right 4xx with the field's name, nothing stored, no harm done."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.control_plane.db.models import Incarnation, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..conftest import Lab  # noqa: TID252 only for the type checkers

_HUGE = 2**64


@pytest.fixture(autouse=True)
async def _nothing_stored_and_a_good_beat_accepted(
    lab: Lab, beat: Any, cell: Any
) -> AsyncIterator[None]:
    """After every refusal in this file."""
    await lab.key()
    await lab.key("other")
    yield
    assert await lab.everything() == [{}, {}, {}]
    assert await lab.rows(Incarnation) == []
    (service,) = await lab.rows(Service, service="research")
    assert service.last_seen is None
    answer = await lab.send(beat((30, [cell("lead", 1)])))
    assert answer.status_code == 200


def _is_problem(answer: Any, *, status: int, field: str | None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem.get("field")) == (status, field)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("health", None, "health"),
        ("health", "ready", "health"),
        ("gap", [], "gap"),
        ("usage", 7, "usage"),
        ("usage", {"totalTokens": "abc", "totalCalls": 0}, "usage.totalTokens"),
        ("usage", {"totalTokens": 1.5, "totalCalls": 0}, "usage.totalTokens"),
        ("usage", {"totalTokens": -5, "totalCalls": 0}, "usage.totalTokens"),
        ("usage", {"totalTokens": 5, "totalCalls": 0, "models": []}, "usage.totalTokens"),
        ("usage", {"totalTokens": 0, "totalCalls": 0, "models": ["gpt"]}, "usage.models[0]"),
        ("tokenbeat", "yes", "tokenbeat"),
        ("tokenbeat.version", 2, "tokenbeat.version"),
        ("tokenbeat.incarnation", "short", "tokenbeat.incarnation"),
        ("tokenbeat.service", None, "tokenbeat.service"),
        ("tokenbeat.service.name", "Not Allowed", "tokenbeat.service.name"),
        ("tokenbeat.revision", -1, "tokenbeat.revision"),
        ("tokenbeat.revision", True, "tokenbeat.revision"),
        ("tokenbeat.base", _HUGE, "tokenbeat.base"),
        ("tokenbeat.sentAt", "yesterday", "tokenbeat.sentAt"),
        ("tokenbeat.nonces", [1], "tokenbeat.nonces[0]"),
        ("tokenbeat.cuts", {}, "tokenbeat.cuts"),
        ("tokenbeat.cuts.0.at", 5, "tokenbeat.cuts[0].at"),
        ("tokenbeat.cuts.0.cells.0.operation", "talk", "tokenbeat.cuts[0].cells[0].operation"),
        ("tokenbeat.cuts.0.cells.0.caller", "x" * 9_000, "tokenbeat.cuts[0].cells[0].caller"),
        ("tokenbeat.cuts.0.cells.0.tokens.input", "7", "tokenbeat.cuts[0].cells[0].tokens.input"),
        ("tokenbeat.cuts.0.cells.0.tokens.input", 7.0, "tokenbeat.cuts[0].cells[0].tokens.input"),
        ("tokenbeat.cuts.0.cells.0.tokens.input", -7, "tokenbeat.cuts[0].cells[0].tokens.input"),
        ("tokenbeat.cuts.0.cells.0.tokens.input", _HUGE, "tokenbeat.cuts[0].cells[0].tokens.input"),
        ("tokenbeat.cuts.0.cells.0.calls.ok", None, "tokenbeat.cuts[0].cells[0].calls.ok"),
        ("tokenbeat.runs", [{"run": ""}], "tokenbeat.runs[0].run"),
        ("tokenbeat.books", {"anomalies": {"x": -1}}, "tokenbeat.books.anomalies.x"),
        ("health.note", "\ud800", "health.note"),
        ("gap.list", ["fine", "\x00"], "gap.list[1]"),
    ],
)
async def test_a_wrong_value_is_named(  # noqa: PLR0913, PLR0917 fixtures
    lab: Lab, beat: Any, cell: Any, path: str, value: object, field: str
) -> None:
    message = beat((30, [cell("lead", 7)]))
    *outer, last = path.split(".")
    place: Any = message
    for step in outer:
        place = place[int(step) if step.isdecimal() else step]
    place[last] = value
    answer = await lab.post(json.dumps(message).encode())
    _is_problem(answer, status=422, field=field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b'{"health": {}, "gap": {}} trailing',
        b"\xff\xfe",
        b'{"health": {"x": NaN}, "gap": {}}',
        b'{"health": {"x": Infinity}, "gap": {}}',
        b'{"health": {"x": 1e999}, "gap": {}}',
        b'{"health": {"x": ' + b"9" * 5_000 + b'}, "gap": {}}',
        b'{"health":' * 5_000,
        b"[" * 60_000,
    ],
)
async def test_what_is_no_json_object_is_refused_as_body(lab: Lab, body: bytes) -> None:
    _is_problem(await lab.post(body), status=422, field="body")


async def test_a_tree_too_deep_to_keep_is_named(lab: Lab) -> None:
    deep = b'{"health":' + b'{"a":' * 100 + b"1" + b"}" * 100 + b', "gap": {}}'
    answer = await lab.post(deep)
    assert answer.status_code == 422
    assert answer.json()["field"].startswith("health.a.a")


async def test_nan_as_a_count_is_refused(lab: Lab, beat: Any, cell: Any) -> None:
    message = beat((30, [cell("lead", 7)]))
    message["tokenbeat"]["cuts"][0]["cells"][0]["tokens"]["input"] = float("nan")
    _is_problem(await lab.post(json.dumps(message).encode()), status=422, field="body")


@pytest.mark.parametrize("how", ["declared", "chunked"])
async def test_ten_megabytes_are_refused_whether_declared_or_chunked(lab: Lab, how: str) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 65_536
            yield b" " * 65_536

    answer = await lab.post(b" " * 10_485_760 if how == "declared" else chunks())
    _is_problem(answer, status=413, field="body")
    assert answer.json()["largest"] == 65_536
    # Reading stops at the bound; it does not take the rest first.
    assert sent <= 2 * 65_536


async def test_a_wrong_declared_length_does_not_help(lab: Lab) -> None:
    answer = await lab.post(b" " * 100, content_length="10000000")
    _is_problem(answer, status=413, field="body")


@pytest.mark.parametrize("size", [65_537, 70_000])
async def test_one_byte_more_than_64_kib_is_too_many(lab: Lab, size: int) -> None:
    message = b'{"health": {}, "gap": {}}'
    answer = await lab.post(message + b" " * (size - len(message)))
    _is_problem(answer, status=413, field="body")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_another_content_type_is_refused(lab: Lab, content_type: str) -> None:
    answer = await lab.post(b'{"health": {}, "gap": {}}', content_type=content_type)
    _is_problem(answer, status=415, field="Content-Type")


async def test_a_compressed_body_is_refused_unopened(lab: Lab) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    answer = await lab.post(bomb, content_encoding="gzip")
    _is_problem(answer, status=415, field="Content-Encoding")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "nonsense"])
async def test_no_key_is_401_before_anything_is_read(lab: Lab, authorization: str) -> None:
    answer = await lab.client.post(
        "/api/v1/heartbeat", content=b"{", headers={"Authorization": authorization}
    )
    _is_problem(answer, status=401, field=None)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("key", ["abc", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\xe9\xe9"])
async def test_a_key_that_was_not_made_here_is_401(lab: Lab, key: str) -> None:
    answer = await lab.client.post(
        "/api/v1/heartbeat", content=b"{", headers=[(b"Authorization", f"Bearer {key}".encode())]
    )
    _is_problem(answer, status=401, field=None)


async def test_a_key_with_another_signature_is_401_and_not_repeated(lab: Lab) -> None:
    key = await lab.key()
    forged = key[:-4] + ("aaaa" if key[-4:] != "aaaa" else "bbbb")
    answer = await lab.post(b"{", key=forged)
    _is_problem(answer, status=401, field=None)
    assert forged not in answer.text


async def test_a_body_that_names_another_service_than_the_key_is_403(
    lab: Lab, beat: Any, cell: Any
) -> None:
    answer = await lab.send(beat((30, [cell("lead", 1)])), key=lab.keys["other"])
    _is_problem(answer, status=403, field="tokenbeat.service.name")


async def test_a_service_nobody_registered_is_403_with_an_agents_key(lab: Lab, beat: Any) -> None:
    answer = await lab.send(beat(service="unknown"))
    _is_problem(answer, status=403, field="tokenbeat.service.name")
    assert await lab.rows(Service, service="unknown") == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_405(lab: Lab, method: str) -> None:
    answer = await lab.client.request(method, "/api/v1/heartbeat")
    _is_problem(answer, status=405, field=None)
