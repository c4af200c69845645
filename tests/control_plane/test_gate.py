"""The Host header and the headers of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.control_plane.gate import SAFE_HEADERS, host_name

if TYPE_CHECKING:
    from .conftest import Lab


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8000", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_a_host_is_compared_without_port_brackets_and_case(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
@pytest.mark.parametrize("path", ["/openapi.json", "/api/v1/heartbeat", "/"])
async def test_under_a_foreign_name_nothing_is_told(lab: Lab, host: str, path: str) -> None:
    answer = await lab.client.get(path, headers={"Host": host})
    assert (answer.status_code, answer.json()["field"]) == (400, "Host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000"])
async def test_loopback_names_are_welcome(lab: Lab, host: str) -> None:
    assert (await lab.client.get("/openapi.json", headers={"Host": host})).status_code == 200


async def test_two_host_headers_are_one_too_many(lab: Lab) -> None:
    headers = [("Host", "localhost"), ("Host", "localhost")]
    assert (await lab.client.get("/openapi.json", headers=headers)).status_code == 400


async def test_probes_ask_by_address(lab: Lab) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await lab.client.get(path, headers={"Host": "10.2.3.4:8000"})).status_code == 200


async def test_further_names_are_allowed_by_a_setting(new_lab: Any) -> None:
    async with new_lab(allowed_hosts="beat.example") as lab:
        for host, status in (("beat.example", 200), ("other.example", 400)):
            answer = await lab.client.get("/openapi.json", headers={"Host": host})
            assert answer.status_code == status
    async with new_lab(allowed_hosts="*") as lab:
        answer = await lab.client.get("/openapi.json", headers={"Host": "any.example"})
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/api/v1/heartbeat"])
async def test_every_answer_carries_the_safe_headers(lab: Lab, path: str) -> None:
    answer = await lab.client.get(path)
    assert {name: answer.headers.get(name) for name in SAFE_HEADERS} == SAFE_HEADERS
