"""The road in one process: real books with a journal, metrics, a sender, and a control plane."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import httpx
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from tests.road.doors import OtlpReceiver, counted, merged, replayed, reported, usage_of
from tokenbeat import telemetry
from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.live.background import running
from tokenbeat.control_plane.settings import load_settings
from tokenbeat.heartbeat.disk import SpoolDisk
from tokenbeat.heartbeat.identity import Identity
from tokenbeat.heartbeat.keys import Keys, key_reader
from tokenbeat.heartbeat.sender import Sender
from tokenbeat.heartbeat.transport import HttpTransport, heartbeat_url
from tokenbeat.heartbeat.values import Service
from tokenbeat.instrument.langchain import LangChainInstrumentor
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.journal import FileJournal
from tokenbeat.ledger.process import new_incarnation, replace_books
from tokenbeat.settings import AgentSettings

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.road.doors import Reading
    from tests.road.relay import Relay
    from tokenbeat.clock import Clock
    from tokenbeat.control_plane.live.background import RunningPlane

_NUMBERS = count(1)


@contextmanager
def control_plane(folder: Path, *, clock: Clock) -> Generator[RunningPlane]:
    """The real control plane under uvicorn on a SQLite file in ``folder``."""
    settings = load_settings(data_dir=folder, beats_per_minute=100_000)
    with running(create_app(settings, clock=clock)) as plane:
        yield plane


def register(plane: RunningPlane, service: str, *, key_file: Path) -> None:
    """What an operator does: makes a key and writes it into the agent's key file."""
    made = httpx.post(
        f"{plane.address}/api/v1/register",
        json={"agentName": service, "runtime": "local"},
        headers={"X-Admin-Key": plane.app.state.plane.secrets.admin_key},
    )
    assert made.status_code == httpx.codes.OK, made.text
    key_file.write_text(made.json()["apiKey"], encoding="utf-8")


@dataclass
class Stand:
    """One incarnation of a service, with everything that shows its books."""

    service: str
    folder: Path
    relay: Relay
    clock: Clock
    interval_ms: int = 30_000
    waits_s: list[float] = field(default_factory=list[float])
    """How long the sender wanted to wait after each beat."""

    def __post_init__(self) -> None:
        incarnation = new_incarnation()
        self.ledger = Ledger(incarnation=incarnation, clock=self.clock)
        self.journal = self.folder / f"{incarnation}.0.journal"
        self.ledger.attach_journal(
            FileJournal(
                self.journal, incarnation=incarnation, service=self.service,
                started_ns=self.ledger.started_ns,
            )
        )  # fmt: skip
        self.ledger.expect_sender(True)
        self.reader = InMemoryMetricReader()
        self.otlp = OtlpReceiver()
        self._meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._installed = telemetry.install(
            ledger=self.ledger, meter_provider=self._meters, tracer_provider=self._tracers,
            clock=self.clock,
        )  # fmt: skip
        url = heartbeat_url(self.relay.url, allow_plaintext=False)
        chance = random.Random(self.service)  # noqa: S311 jitter, no secret
        nonces = count(1)
        self.sender = Sender(
            Identity(
                service=Service(name=self.service, started_ns=0),
                sender="process",
                url=url,
                new_nonce=lambda: f"nonce-{next(nonces)}",
                new_incarnation=new_incarnation,
            ),
            books=lambda: self.ledger,
            clock=self.clock,
            transport=HttpTransport(url),
            keys=Keys(key_reader(file=self.key_file, key=None)),
            chance=chance.random,
            interval_ms=self.interval_ms,
            disk=lambda: SpoolDisk(self.ledger.journal, folder=self.folder),
        )

    @property
    def key_file(self) -> Path:
        """Where the agent's key is."""
        return self.folder / f"{self.service}.key"

    def beat(self) -> bool:
        """One beat; whether the control plane now holds everything."""
        beaten = self.sender.beat()
        self.waits_s.append(beaten.wait_s)
        return beaten.complete

    def deliver(self, *, beats: int = 12) -> None:
        """Beats until the control plane holds everything, which must not take long."""
        assert any(self.beat() for _ in range(beats)), self.relay.statuses

    def at_all_doors(self, address: str) -> dict[str, Reading]:
        """What each door behind the bill says."""
        self.otlp.collect(self.reader)
        return {
            "ledger": counted(self.ledger),
            "journal": replayed(self.journal),
            "counters": self.otlp.reading(),
            "heartbeats": merged(self.relay.bodies),
            "control plane": reported(usage_of(address, self.service)),
        }

    def close(self) -> None:
        """Takes everything off again."""
        self._installed.uninstall()
        self._meters.shutdown()
        self._tracers.shutdown()
        self.sender.close()
        if self.ledger.journal is not None:
            self.ledger.journal.close()


@contextmanager
def counting(stand: Stand) -> Generator[Stand]:
    """LangChain's calls are entered in this stand's books, as the process's own."""
    before = replace_books(stand.ledger)
    instrumentor = LangChainInstrumentor()
    with ExitStack() as stack:
        stack.callback(replace_books, before)
        stack.callback(stand.close)
        instrumentor.instrument(settings=AgentSettings.from_env({}))
        stack.callback(instrumentor.uninstrument)
        yield stand


def new_service() -> str:
    """A name that no other test of this run has."""
    return f"service-{next(_NUMBERS)}"
