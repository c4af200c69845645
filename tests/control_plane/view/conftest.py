"""A control plane behind a real uvicorn, and Debian's Chromium in front of it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tokenbeat.clock import ManualClock
from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.live.background import RunningPlane, running
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Page, Playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_NS = 1_775_001_600_000_000_000  # 2026-04-01T00:00:00Z, as in the messages of `beat`


@dataclass
class Shown:
    """What a test does with a control plane over a socket."""

    running: RunningPlane
    clock: ManualClock
    keys: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def address(self) -> str:
        return self.running.address

    @property
    def admin_key(self) -> str:
        key: str = self.running.app.state.plane.secrets.admin_key
        return key

    def register(self, service: str) -> str:
        made = httpx.post(
            f"{self.address}/api/v1/register",
            json={"agentName": service, "runtime": "local"},
            headers={"X-Admin-Key": self.admin_key},
        )
        key: str = made.json()["apiKey"]
        return key

    def send(self, message: Any) -> None:
        """Have a heartbeat taken."""
        service: str = message["tokenbeat"]["service"]["name"]
        key = self.keys.get(service) or self.register(service)
        self.keys[service] = key
        answer = httpx.post(
            f"{self.address}/api/v1/heartbeat",
            json=message,
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.text

    def json(self, path: str) -> Any:
        answer = httpx.get(f"{self.address}/api/v1/{path}", headers={"X-Admin-Key": self.admin_key})
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def show(folder: Path, *, port: int = 0, **settings: Any) -> Generator[Shown]:
    clock = ManualClock(now_wall_ns=START_NS)
    app = create_app(load_settings(data_dir=folder, **settings), clock=clock)
    with running(app, port=port) as plane:
        yield Shown(plane, clock)


@pytest.fixture
def showing(tmp_path: Path) -> Callable[..., AbstractContextManager[Shown]]:
    """Serves a control plane with these settings, always on the same database."""

    def started(**settings: Any) -> AbstractContextManager[Shown]:
        return show(tmp_path / "plane", **settings)

    return started


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with show(tmp_path / "plane") as served:
        yield served


@pytest.fixture
def browser_maker() -> Iterator[Playwright]:
    """For one test only: while it lives its event loop stands where other tests run theirs."""
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as maker:
        yield maker


@dataclass
class Window:
    """A browser window, and what its page complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])


@pytest.fixture
def open_window(browser_maker: Playwright, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Opens windows; a page that wrote an error or broke its policy fails the test.

    ``expected=`` names a part of complaints that the test is about.
    """
    contexts: list[Any] = []
    windows: list[tuple[Window, str | None]] = []

    def opened(
        *, width: int = 1400, height: int = 900, expected: str | None = None, **options: Any
    ) -> Window:
        context = browser_maker.chromium.launch_persistent_context(
            tmp_path / f"profile-{len(contexts)}",
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            viewport={"width": width, "height": height},
            **options,
        )
        contexts.append(context)
        page = context.pages[0]
        page.set_default_timeout(15_000)
        window = Window(page)
        page.on("pageerror", lambda error: window.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                window.complaints.append(message.text)
                if message.type in {"error", "warning"}
                else None
            ),
        )
        windows.append((window, expected))
        return window

    yield opened
    for context in contexts:
        context.close()
    for window, expected in windows:
        left = [told for told in window.complaints if expected is None or expected not in told]
        assert left == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: ``TOKENBEAT_SCREENSHOTS``, or the test's own folder."""
    folder = Path(os.environ.get("TOKENBEAT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
