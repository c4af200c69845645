"""The server as it runs: real HTTP, starts that must not happen, restarts."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.db.engine import Database
from tokenbeat.control_plane.errors import BadSetting, DatabaseError
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


async def test_making_the_app_opens_and_writes_nothing(tmp_path: Path) -> None:
    create_app(load_settings(data_dir=tmp_path / "data"))
    assert os.listdir(tmp_path) == []  # noqa: PTH208 pathlib would block as well


async def test_listening_elsewhere_without_keys_refuses_to_start(tmp_path: Path) -> None:
    app = create_app(load_settings(data_dir=tmp_path / "data", host="0.0.0.0"))  # noqa: S104 the case under test
    with pytest.raises(BadSetting, match="TOKENBEAT_ADMIN_KEY"):
        async with app.router.lifespan_context(app):
            pass
    assert os.listdir(tmp_path) == []  # noqa: PTH208 pathlib would block as well


async def test_a_database_that_is_none_refuses_to_start(tmp_path: Path) -> None:
    app = create_app(load_settings(data_dir=tmp_path, database_url="mysql://u:p@h/d"))
    with pytest.raises(DatabaseError, match="neither sqlite nor postgresql"):
        async with app.router.lifespan_context(app):
            pass


async def test_a_restart_keeps_everything_and_goes_on_counting_revisions(
    new_lab: Any, beat: Any, cell: Any
) -> None:
    async with new_lab() as lab:
        key = await lab.key()
        await lab.send(beat((30, [cell("lead", 5)]), revision=3, nonce="n1"))
        revision = lab.plane.changes.revision("default")
    async with new_lab() as lab:
        assert lab.plane.changes.revision("default") == revision
        message = beat((60, [cell("lead", 6)]), revision=4, base=3, nonce="n2", nonces=["n1"])
        assert (await lab.send(message, key=key)).json()["revision"] == 4
        assert lab.plane.changes.revision("default") == revision + 1


async def test_a_server_restored_from_a_backup_heals_by_its_answers(
    new_lab: Any, beat: Any, cell: Any, tmp_path: Path
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    async with new_lab() as lab:
        key = await lab.key()
        await lab.send(beat((30, [cell("lead", 5)]), revision=3, nonce="n1"))
    shutil.copytree(data, backup)
    async with new_lab() as lab:
        message = beat((60, [cell("sub", 7)]), revision=8, base=3, nonce="n2", nonces=["n1"])
        assert (await lab.send(message, key=key)).json()["revision"] == 8
    shutil.rmtree(data)
    backup.rename(data)
    async with new_lab() as lab:
        # The sender knows of no loss: its next beat has only what is new, after base 8.
        message = beat((90, [cell("mid", 1)]), revision=9, base=8, nonce="n3", nonces=["n2"])
        answer = (await lab.send(message, key=key)).json()
        assert (answer["revision"], answer["nonce"]) == (3, "n1")
        # It goes back to base 3 and has adopted the nonce.
        cells = [cell("sub", 7), cell("mid", 1)]
        message = beat((120, cells), revision=9, base=3, nonce="n4", nonces=["n3", "n1"])
        assert (await lab.send(message, key=key)).json()["revision"] == 9
        assert len(await lab.cells()) == 3
        assert await lab.buckets_equal_cells()


async def test_a_failure_of_the_server_is_a_problem_that_tells_nothing(
    new_lab: Any, beat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with new_lab() as lab:
        await lab.key()

        def broken(self: Database) -> Any:
            cause = ValueError("password")
            raise OperationalError("SELECT secret", {}, cause)  # noqa: EM101 its first field

        # A mock: nothing that a test could do to SQLite fails in the middle of a request.
        monkeypatch.setattr(Database, "write", broken)
        transport = httpx.ASGITransport(app=lab.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post(
                "/api/v1/heartbeat",
                json=beat(),
                headers={"Authorization": f"Bearer {lab.keys['research']}"},
            )
        monkeypatch.undo()
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
        assert "secret" not in answer.text
        assert "password" not in answer.text
        assert (await lab.send(beat())).status_code == 200


@pytest.mark.parametrize("size", [70_000, 10_000_000])
@pytest.mark.parametrize("how", ["declared", "chunked"])
def test_a_large_body_over_a_real_connection_gets_its_413(
    served_url: str, heartbeat_key: str, size: int, how: str
) -> None:
    """A client that sends all before it reads must still find the answer."""
    host, port = served_url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    headers = {"Authorization": f"Bearer {heartbeat_key}", "Content-Type": "application/json"}
    chunks = (b" " * 10_000 for _ in range(size // 10_000))
    body: Any = b" " * size if how == "declared" else chunks
    # The server may close while we are still sending: what it said before is there to be read.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", "/api/v1/heartbeat", body, headers)
    answer = connection.getresponse()
    problem = json.loads(answer.read())
    assert (answer.status, problem["field"]) == (413, "body")
    connection.close()


def test_a_good_beat_over_a_real_connection(served_url: str, heartbeat_key: str, beat: Any) -> None:
    answer = httpx.post(
        f"{served_url}/api/v1/heartbeat",
        json=beat(service="real"),
        headers={"Authorization": f"Bearer {heartbeat_key}"},
    )
    assert answer.status_code == 200


def test_a_request_without_a_host_is_refused(served_url: str) -> None:
    host, port = served_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.0\r\n\r\n")
        assert b" 400 " in connection.recv(65_536)
