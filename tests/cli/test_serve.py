"""``tokenbeat serve`` starts a real control plane, says where, and ends when it is told to."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("tokenbeat")


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A start that is meant to fail."""
    return subprocess.run(
        [PROGRAM, "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_says_where_it_is_and_is_there(plane: Callable[..., Any], tmp_path: Path) -> None:
    started = plane()
    assert httpx.get(f"{started.url}/readyz").status_code == 200
    admin_key = tmp_path / "state" / "tokenbeat" / "control-plane" / "admin.key"
    assert started.said[1] == f"Admin key: {admin_key}"
    assert stat.S_IMODE(admin_key.stat().st_mode) == 0o600


def test_its_files_go_where_they_are_told_to(plane: Callable[..., Any], tmp_path: Path) -> None:
    plane("--data-dir", tmp_path / "here")
    assert sorted(file.name for file in (tmp_path / "here").iterdir()) >= [
        "admin.key",
        "signing.secret",
        "tokenbeat.sqlite3",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_also_while_somebody_watches(
    plane: Callable[..., Any], number: signal.Signals
) -> None:
    started = plane()
    with httpx.stream("GET", f"{started.url}/api/v1/usage/stream", timeout=20) as watching:
        lines = watching.iter_lines()
        assert any(line.startswith("data: ") for line in lines)
        started.process.send_signal(number)
        assert started.process.wait(timeout=20) in {0, -number}
    assert started.process.stderr.read() == ""


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("--port", str(port), "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        f"tokenbeat: --host, --port: cannot listen on 127.0.0.1 port {port}: "
        "Address already in use\n"
    )


def test_a_host_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    done = serve("--host", "no.such.host.invalid", "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no.such.host.invalid" in done.stderr


def test_listening_to_the_network_without_keys_is_refused(tmp_path: Path) -> None:
    done = serve("--host", "0.0.0.0", "--data-dir", str(tmp_path))  # noqa: S104 it is refused
    assert done.returncode == 2
    assert done.stderr.startswith("tokenbeat: TOKENBEAT_HOST: listening on 0.0.0.0 needs keys")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenbeat.sqlite3").write_text("this is no database, it is a text" * 50)
    done = serve("--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("tokenbeat: the database cannot be used: ")
    assert done.stderr.count("\n") == 1
