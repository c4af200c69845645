"""Start, flush and stop of one agent process."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, cast

from tokenbeat import telemetry
from tokenbeat.agent.ending import Ending
from tokenbeat.agent.sdk import flush_sdk, set_up_sdk
from tokenbeat.guard import contained
from tokenbeat.heartbeat.reader import HeartbeatReader
from tokenbeat.ledger.journal import FileJournal
from tokenbeat.ledger.process import books, on_fork
from tokenbeat.settings import AgentSettings
from tokenbeat.telemetry.options import TelemetryOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.telemetry.install import Installed
    from tokenbeat.telemetry.options import HistogramGroup

_LOGGER = logging.getLogger(__name__)
_START = contained("agent.start")
_STOP = contained("agent.stop")
_OURS: Final = "tokenbeat_"


class Instrumentor(Protocol):
    """What is used here of OpenTelemetry's base class of instrumentors."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it is on."""
        ...

    def instrument(self) -> None:
        """Turns it on."""
        ...

    def uninstrument(self) -> None:
        """Turns it off."""
        ...


class Agent:
    """What is on in this process. There is one; `start` and `stop` work on it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._installed: Installed | None = None
        self._reader: HeartbeatReader | None = None
        self._settings = AgentSettings()
        self._ending = Ending(self._finish, killed=self._finish_killed)
        self._watches_forks = False

    @property
    def started(self) -> bool:
        """Whether it is on."""
        return self._installed is not None

    def start(self, settings: AgentSettings) -> None:
        """Gives the books their journal, shows them as telemetry; a second time does nothing."""
        with self._lock:
            if self._installed is not None or settings.disabled:
                return
            self._settings = settings
            set_up_sdk()
            ledger = books()
            self._attach(ledger)
            self._installed = telemetry.install(ledger=ledger, options=_options(settings))
            self._watch_heartbeat()
            if not self._watches_forks:
                self._watches_forks = True
                on_fork(self._after_fork)
            self._ending.begin()

    def beat(self, health: Callable[[], Mapping[str, object]] | None = None) -> None:
        """Sends heartbeats, where a control plane is named and nobody sends them yet."""
        with self._lock:
            sends = self._settings.control_plane_url and self._settings.sender == "process"
            if self._installed is None or not sends:
                return
            reader = HeartbeatReader.of_process()
            if reader is None:
                reader = HeartbeatReader(settings=self._settings)
                self._reader = reader
            reader.begin(health=health)
            self._watch_heartbeat()

    def flush(self, timeout_s: float) -> bool:
        """Sends what is new now; whether everything was acknowledged or nobody is to be told."""
        reader = HeartbeatReader.of_process()
        return True if reader is None else reader.force_flush(timeout_s * 1_000)

    def stop(self) -> None:
        """Takes everything off again and sends the last heartbeat; `start` begins anew."""
        with self._lock:
            if self._installed is None:
                return
            for instrumentor in _instrumentors():
                instrumentor.uninstrument()
            self._ending.cancel()
            self._finish()
            self._installed.uninstall()
            self._installed = None

    def _finish(self) -> None:
        with _STOP:
            books().close()
            # Also the reader that the SDK made: its own exit comes later, or after SIGTERM never.
            reader = HeartbeatReader.of_process()
            self._reader = None
            if reader is not None:
                reader.shutdown()

    def _finish_killed(self) -> None:
        self._finish()
        with _STOP:
            flush_sdk()

    def _attach(self, ledger: Ledger) -> None:
        settings = self._settings
        if ledger.journal is None:
            name = f"{ledger.incarnation}.0.journal"
            journal = FileJournal(
                settings.spool_dir / settings.service_name.replace("/", "_") / name,
                incarnation=ledger.incarnation,
                service=settings.service_name,
                started_ns=ledger.started_ns,
                fsync=settings.journal_fsync,
            )
            ledger.attach_journal(journal)
        ledger.expect_sender(settings.control_plane_url is not None)

    def _watch_heartbeat(self) -> None:
        reader = HeartbeatReader.of_process()
        if reader is not None and self._installed is not None:
            self._installed.metrics.watch_heartbeat(reader)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        if self._installed is not None:
            self._attach(books())
            self._watch_heartbeat()


def _options(settings: AgentSettings) -> TelemetryOptions:
    options = TelemetryOptions(
        vocabulary=settings.semconv,
        incarnation_label=settings.incarnation_label,
        hash_ids=settings.hash_ids,
    )
    if settings.histograms is None:
        return options
    return replace(options, histograms=cast("frozenset[HistogramGroup]", settings.histograms))


def _instrumentors() -> list[Instrumentor]:
    found: list[Instrumentor] = []
    for entry in entry_points(group="opentelemetry_instrumentor"):
        if entry.name.startswith(_OURS):
            try:
                found.append(entry.load()())
            except ImportError as error:
                _LOGGER.info("%s is not loaded: %s", entry.name, error)
    return found


def _instrument() -> None:
    for instrumentor in _instrumentors():
        try:
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument()
        except ModuleNotFoundError as error:  # noqa: PERF203 a handful of them, at start
            # What it instruments is not installed: nothing to count there.
            _LOGGER.info("%s is not instrumented: %s", type(instrumentor).__name__, error)


_AGENT: Final = Agent()


def start(
    *,
    control_plane_url: str | None = None,
    api_key: str | None = None,
    health: Callable[[], Mapping[str, object]] | None = None,
) -> None:
    """Turns counting on in this process: what the one line of ``opentelemetry-instrument`` does.

    Settings come from the environment (``TOKENBEAT_…``, ``OTEL_…``). The OpenTelemetry SDK is set
    up only where nobody has done so and exporters are named there. It never raises: what goes
    wrong is logged. Starting twice does nothing.

    Args:
        control_plane_url: Where heartbeats go, instead of ``TOKENBEAT_CONTROL_PLANE_URL``.
        api_key: The key for it, instead of ``TOKENBEAT_API_KEY``.
        health: Called before each heartbeat for what it says about this agent's health.
    """
    with _START:
        settings = AgentSettings.from_env()
        if control_plane_url is not None:
            settings = replace(settings, control_plane_url=control_plane_url.rstrip("/"))
        if api_key is not None:
            settings = replace(settings, api_key=api_key, api_key_file=None)
        _AGENT.start(settings)
        if _AGENT.started:
            _instrument()
            _AGENT.beat(health)


def flush(timeout_s: float = 5.0) -> bool:
    """Sends what is new to the control plane now, as at the end of a serverless invocation.

    Args:
        timeout_s: The longest wait, in seconds.

    Returns:
        Whether everything was acknowledged; True where no control plane is configured.
    """
    with _STOP:
        return _AGENT.flush(timeout_s)
    return False


def stop() -> None:
    """Sends the last heartbeat (at most 5 s) and takes every handler off again."""
    with _STOP:
        _AGENT.stop()


def pre_instrument() -> None:
    """The hook of ``opentelemetry-instrument``: runs after every distro, before instrumentors.

    The instrumentors are loaded by it, and the heartbeat by ``OTEL_METRICS_EXPORTER``.
    """
    with _START:
        _AGENT.start(AgentSettings.from_env())
