"""A control plane behind a real uvicorn."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.live.background import RunningPlane, running
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi import FastAPI

START_NS = 1_775_001_600_000_000_000  # 2026-04-01T00:00:00Z, as in the messages of `beat`


@dataclass
class Watched:
    """What a test does with a control plane over a socket."""

    running: RunningPlane
    key: str = ""

    @property
    def app(self) -> FastAPI:
        return self.running.app

    @property
    def address(self) -> str:
        return self.running.address

    def send(self, message: Any) -> None:
        """Have a heartbeat of the service ``research`` taken."""
        if not self.key:
            made = httpx.post(
                f"{self.address}/api/v1/register",
                json={"agentName": "research", "runtime": "local"},
                headers={"X-Admin-Key": self.app.state.plane.secrets.admin_key},
            )
            self.key = made.json()["apiKey"]
        answer = httpx.post(
            f"{self.address}/api/v1/heartbeat",
            json=message,
            headers={"Authorization": f"Bearer {self.key}"},
        )
        assert answer.status_code == 200, answer.text

    def json(self, path: str) -> Any:
        answer = httpx.get(f"{self.address}/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serve(folder: Path) -> Generator[Watched]:
    clock = ManualClock(now_wall_ns=START_NS)
    with running(create_app(load_settings(data_dir=folder), clock=clock)) as plane:
        yield Watched(plane)


@pytest.fixture
def serving(tmp_path: Path) -> Callable[[], AbstractContextManager[Watched]]:
    """Serves a control plane for the length of a block, always on the same database."""

    def started() -> AbstractContextManager[Watched]:
        return serve(tmp_path / "plane")

    return started


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Watched]:
    with serve(tmp_path / "plane") as running_one:
        yield running_one
