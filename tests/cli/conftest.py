"""Commands run in this process; servers and agents are processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.cli import main
from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.journal import FileJournal
from tokenbeat.usage.caller import Caller, parse_step
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenbeat.ledger.report import CallToken, Report

PROGRAM = Path(sys.executable).with_name("tokenbeat")


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's user is read or written, and no server is found by accident."""
    for name in list(os.environ):
        if name.startswith(("TOKENBEAT_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def tokenbeat(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs ``tokenbeat …`` in this process."""

    def run(*arguments: str | Path) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    return run


class Agent:
    """An incarnation that writes a real journal, as long as it is not ended."""

    def __init__(self, spool: Path, *, service: str, incarnation: str) -> None:
        self.clock = ManualClock()
        self.path = spool / service / f"{incarnation}.1.journal"
        self.journal = FileJournal(
            self.path,
            incarnation=incarnation,
            service=service,
            started_ns=self.clock.wall_ns(),
        )
        self.ledger = Ledger(incarnation=incarnation, clock=self.clock, journal=self.journal)

    def begin(
        self,
        *,
        model: str,
        caller: str,
        run: str | None = None,
        source: str = "wire",
        token: CallToken | None = None,
    ) -> Report:
        path = Caller()
        for step in caller.split("/"):
            parsed = parse_step(step)
            path = path.child(parsed.type, parsed.name)
        return self.ledger.start(
            source=source,
            operation="chat",
            provider="openai",
            request_model=model,
            caller=path if caller != "unattributed" else Caller(),
            run=None if run is None else self.ledger.open_run(run),
            member_of=token,
        )

    def call(self, *, model: str, caller: str, run: str | None = None, **tokens: int) -> None:
        usage = TokenUsage(**tokens) if tokens else None
        report = self.begin(model=model, caller=caller, run=run)
        self.clock.advance(1_000_000)
        self.ledger.end(report, outcome="ok", usage=usage, response_model=model)

    def die(self) -> None:
        """Lets go of the journal as a killed process does: nothing more is written."""
        self.journal.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokenbeat"


@pytest.fixture
def agent(spool: Path) -> Iterator[Callable[..., Agent]]:
    """Makes agents that live until they die or the test ends."""
    agents: list[Agent] = []

    def make(service: str = "research", incarnation: str = "a" * 16) -> Agent:
        agents.append(Agent(spool, service=service, incarnation=incarnation))
        return agents[-1]

    yield make
    for one in agents:
        one.die()


@dataclass(frozen=True, slots=True)
class Plane:
    """A control plane in a process of its own."""

    url: str
    process: subprocess.Popen[str]
    said: list[str]


@pytest.fixture(scope="session")
def start_agent() -> type[Agent]:
    """For fixtures that are wider than a test: make it, and let it die."""
    return Agent


@pytest.fixture
def plane(start_plane: Callable[..., Plane]) -> Callable[..., Plane]:
    """Starts ``tokenbeat serve`` on a free port, in this test's state folder."""
    return start_plane


@pytest.fixture(scope="session")
def start_plane() -> Iterator[Callable[..., Plane]]:
    """Starts ``tokenbeat serve`` on a free port, and ends it by its process id."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, env: dict[str, str] | None = None) -> Plane:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        processes.append(process)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                return Plane(said[0].rpartition(" ")[2], process, said)
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
