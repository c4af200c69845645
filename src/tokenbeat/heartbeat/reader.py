"""``HeartbeatReader``: what ``OTEL_METRICS_EXPORTER=tokenbeat`` builds.

A registered reader, even one that drops everything, costs every measurement of anyone in the
process 3 µs, runs every observable callback once more and exports other libraries' counters. So
this one takes itself off the application's provider as soon as that stands, and drives a private
provider with our instruments only, on its own thread. The beats themselves read the ledger; that
provider's points are compared with it at every beat.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.guard import contained
from tokenbeat.heartbeat.beating import Beating
from tokenbeat.heartbeat.drift import DriftCheck
from tokenbeat.heartbeat.errors import PlaintextRefused, UrlRefused
from tokenbeat.heartbeat.wiring import HealthSlot, build_sender
from tokenbeat.ledger.process import books, on_fork
from tokenbeat.settings import TOKENBEAT_CONTROL_PLANE_URL, AgentSettings
from tokenbeat.telemetry.books import BookSet
from tokenbeat.telemetry.figures import HeartbeatFigures
from tokenbeat.telemetry.metrics import LedgerMetrics
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.providers import PROVIDER_STATES

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider as ApiMeterProvider
    from opentelemetry.sdk.metrics.export import MetricsData

    from tokenbeat.heartbeat.health import HealthCallable
    from tokenbeat.heartbeat.sender import Sender

_LOGGER: Final = logging.getLogger("tokenbeat.heartbeat")
_START: Final = contained("heartbeat.start")
_STOP: Final = contained("heartbeat.stop")
_COMPARE: Final = contained("heartbeat.drift")
_MS_PER_S: Final = 1_000
_COLLECT_MS: Final = 10_000


class _PointReader(MetricReader):
    """Hands a collection's points to whoever asked for the collection."""

    def __init__(self) -> None:
        super().__init__()
        self.points: MetricsData | None = None

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> None:
        del timeout_millis, kwargs
        self.points = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        del timeout_millis, kwargs


class _PrivateMetrics:
    """Our instruments on a provider of our own, and the comparison with the books.

    Everything is made at the first comparison, in the sender's thread: in a fork's hook a lock of
    the SDK's may still be the one that a thread of the parent held.
    """

    def __init__(self) -> None:
        self._reader: _PointReader | None = None
        self._provider: MeterProvider | None = None
        self._metrics: LedgerMetrics | None = None
        self._check = DriftCheck()

    def _begin(self) -> _PointReader:
        self._check = DriftCheck()
        self._reader = _PointReader()
        # Nobody reads its resource; detecting one takes threads, which an ending process refuses.
        self._provider = MeterProvider(
            [self._reader], resource=Resource.get_empty(), shutdown_on_exit=False
        )
        self._metrics = LedgerMetrics(
            BookSet(books()),
            meter_provider=self._provider,
            options=TelemetryOptions(vocabulary="latest", histograms=frozenset()),
            on_snapshot=self._check.saw,
        )
        return self._reader

    def begin_child(self) -> None:
        """In a forked child: forget the parent's, without touching any lock of it."""
        PROVIDER_STATES.renew_after_fork()
        self._reader = self._provider = self._metrics = None

    def compare(self) -> None:
        """One collection, compared with the ledger; a difference is the anomaly ``drift``."""
        with _COMPARE:
            reader = self._reader or self._begin()
            reader.points = None
            reader.collect(timeout_millis=_COLLECT_MS)
            drift: dict[str, int] = {}
            if reader.points is not None:
                drift = self._check.compare(reader.points)
                reader.points = None
            if drift:
                books().anomaly("drift")
                _LOGGER.error(
                    "The metrics differ from the ledger (the ledger is right): %s. Please report.",
                    ", ".join(f"{name} by {by}" for name, by in drift.items()),
                )

    def stop(self) -> None:
        """Let go of the books and the provider."""
        if self._metrics is not None and self._provider is not None:
            self._metrics.stop()
            self._provider.shutdown()


class _Current:
    """The reader that beats for this process. There is one, whoever built it."""

    def __init__(self) -> None:
        self.reader: HeartbeatReader | None = None


_CURRENT: Final = _Current()


class HeartbeatReader(MetricReader):
    """Sends heartbeats of this process's books. Its constructor never raises.

    Built by the OpenTelemetry SDK without arguments, or by `tokenbeat.start`. The first one beats;
    further ones stay idle. Beats begin with the first recorded call or with `begin`.

    Args:
        settings: The settings; from the environment if None.
    """

    def __init__(self, *, settings: AgentSettings | None = None) -> None:
        self._leaving = False
        self._running: tuple[Sender, Beating] | None = None
        self._sender: Sender | None = None
        self._private = _PrivateMetrics()
        self._health = HealthSlot()
        # An exception from here would cancel all instrumentation of the process.
        with _START:
            super().__init__()
        with _START:
            self._set_up(AgentSettings.from_env() if settings is None else settings)

    @classmethod
    def of_process(cls) -> HeartbeatReader | None:
        """The reader that beats for this process, or None."""
        return _CURRENT.reader

    def _set_up(self, settings: AgentSettings) -> None:
        if _CURRENT.reader is not None or settings.disabled or settings.sender != "process":
            return
        if settings.control_plane_url is None:
            _LOGGER.info("No heartbeats: %s is not set.", TOKENBEAT_CONTROL_PLANE_URL)
            return
        try:
            sender = build_sender(
                settings,
                control_plane_url=settings.control_plane_url,
                kind="process",
                health=self._health,
            )
        except (PlaintextRefused, UrlRefused) as error:
            _LOGGER.error("No heartbeats: %s", error)  # noqa: TRY400 the sentence says it all
            return
        beating = Beating(
            sender, books=books, clock=SYSTEM_CLOCK, before_beat=self._private.compare
        )
        self._sender = sender
        self._running = (sender, beating)
        _CURRENT.reader = self
        after_fork: WeakMethod[Any] = WeakMethod(self._after_fork)

        def renew() -> None:
            method = after_fork()
            if method is not None:
                method()

        on_fork(renew)
        beating.watch()

    @property
    def beats(self) -> bool:
        """Whether this reader sends heartbeats, or will with the first call."""
        return self._running is not None

    def begin(self, *, health: HealthCallable | None = None) -> None:
        """Beat from now on, also before the first call. A second time does nothing.

        Args:
            health: Called before each beat for AgentSpec's ``health``; guarded and bounded in time.
        """
        if health is not None:
            self._health.put(health)
        if self._running is not None:
            _, beating = self._running
            beating.begin()

    def heartbeat_figures(self) -> HeartbeatFigures:
        """Metrics ``tokenbeat.heartbeat.{sent,failed,undelivered_tokens,age}``."""
        if self._sender is None:
            return HeartbeatFigures(sent=0, failed=0, undelivered_tokens=0, age_s=None)
        return self._sender.heartbeat_figures()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what is new now.

        Returns:
            Whether the control plane holds everything; True where no heartbeats are sent.
        """
        if self._running is None:
            return True
        _, beating = self._running
        with _STOP:
            return beating.flush(timeout_s=timeout_millis / _MS_PER_S)
        return False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Send the final beat, at most 5 s long, and stop. Any number of times.

        The SDK also calls this when the reader takes itself off a provider; that is no end.
        """
        del kwargs
        if self._leaving:
            return
        with _STOP:
            running, self._running = self._running, None
            if running is None:
                return
            sender, beating = running
            beating.stop(timeout_s=max(timeout_millis, 0) / _MS_PER_S)
            _CURRENT.reader = None
            self._private.stop()
            sender.close()

    def _set_meter_provider(self, meter_provider: ApiMeterProvider) -> None:
        super()._set_meter_provider(meter_provider)
        # The SDK tells a reader its provider last of all, when that stands; its list of readers is
        # left as it is, so flush and shutdown of the provider still come here.
        with _START:
            if isinstance(meter_provider, MeterProvider):
                self._leaving = True
                try:
                    meter_provider.remove_metric_reader(self)
                finally:
                    self._leaving = False

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> None:
        """Nothing: what another provider collects is not ours to send."""

    def _after_fork(self) -> None:
        if self._running is not None:
            _, beating = self._running
            self._private.begin_child()
            beating.begin_child()
