"""Who may read."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from tokenbeat.control_plane.keys.access import Reader, require_read

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers

KEY = "an admin key of the operator's own"


async def _read(reader: Annotated[Reader, Depends(require_read)]) -> str:
    return reader.tenant


def _with_a_read(app: FastAPI) -> None:
    app.add_api_route("/read", _read)


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


async def test_on_loopback_reading_needs_no_key(lab: Lab) -> None:
    _with_a_read(lab.app)
    assert (await lab.client.get("/read")).json() == "default"


async def test_a_wrong_key_is_refused_even_where_none_is_needed(lab: Lab) -> None:
    _with_a_read(lab.app)
    answer = await lab.client.get("/read", headers={"X-Admin-Key": "wrong"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Admin-Key": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer {KEY}"},
        {"Authorization": _basic(KEY)},
    ],
)
async def test_elsewhere_the_admin_key_opens_in_each_of_its_forms(
    new_lab: Any, headers: dict[str, str]
) -> None:
    async with new_lab(host="10.0.0.5", admin_key=KEY) as lab:
        _with_a_read(lab.app)
        assert (await lab.client.get("/read", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Admin-Key": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": _basic("wrong")},
        {"Authorization": "Basic é".encode().decode("latin-1")},
        {"Authorization": "Digest abc"},
    ],
)
async def test_elsewhere_nobody_reads_without_it(new_lab: Any, headers: dict[str, str]) -> None:
    async with new_lab(host="0.0.0.0", admin_key=KEY, allowed_hosts="localhost") as lab:  # noqa: S104 the case under test
        _with_a_read(lab.app)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await lab.client.get("/read", headers=httpx.Headers(raw))
        assert (answer.status_code, answer.json()["field"]) == (403, "X-Admin-Key")


async def test_a_browser_is_asked_for_the_key_by_its_own_dialogue(new_lab: Any) -> None:
    async with new_lab(host="10.0.0.5", admin_key=KEY) as lab:
        _with_a_read(lab.app)
        answer = await lab.client.get("/read", headers={"Accept": "text/html"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_reading_on_loopback_can_be_made_to_need_the_key(new_lab: Any) -> None:
    async with new_lab(open_reads=False) as lab:
        _with_a_read(lab.app)
        assert (await lab.client.get("/read")).status_code == 403
        assert (await lab.client.get("/read", headers=lab.admin)).status_code == 200
