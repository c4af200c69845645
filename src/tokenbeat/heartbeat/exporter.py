"""``HeartbeatExporter``: heartbeats at the beat of a metric reader that the user built.

``PeriodicExportingMetricReader`` ignores an exporter's FAILURE and drops what it handed over. So
the exporter sends cumulative cells from the ledger, never the points, and its baseline moves on
acknowledgement only: what one export could not deliver is in the next one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
)

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.guard import contained
from tokenbeat.heartbeat.errors import PlaintextRefused, UrlRefused
from tokenbeat.heartbeat.wiring import HealthSlot, build_sender
from tokenbeat.ledger.process import books, on_fork
from tokenbeat.settings import TOKENBEAT_CONTROL_PLANE_URL, AgentSettings
from tokenbeat.telemetry.figures import HeartbeatFigures

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

    from tokenbeat.heartbeat.health import HealthCallable
    from tokenbeat.heartbeat.sender import Sender

_LOGGER: Final = logging.getLogger("tokenbeat.heartbeat")
_EXPORT: Final = contained("heartbeat.export")
_FINAL_S: Final = 5.0
_MS_PER_S: Final = 1_000
_NS_PER_S: Final = 1_000_000_000
_CUMULATIVE: Final[dict[type, AggregationTemporality]] = dict.fromkeys(
    (
        Counter,
        Histogram,
        ObservableCounter,
        ObservableGauge,
        ObservableUpDownCounter,
        UpDownCounter,
    ),
    AggregationTemporality.CUMULATIVE,
)


class HeartbeatExporter(MetricExporter):
    """Sends a heartbeat at each export.

    Example:
        ``PeriodicExportingMetricReader(HeartbeatExporter(), export_interval_millis=30_000)``.

    Args:
        settings: The settings; from the environment if None. Without a control plane's address
            each export succeeds and sends nothing.
        health: Called before each beat for AgentSpec's ``health``; guarded and bounded in time.
    """

    def __init__(
        self, *, settings: AgentSettings | None = None, health: HealthCallable | None = None
    ) -> None:
        super().__init__(preferred_temporality=dict(_CUMULATIVE))
        self._sender: Sender | None = None
        self._ended = False
        self._clock = SYSTEM_CLOCK
        slot = HealthSlot()
        if health is not None:
            slot.put(health)
        chosen = AgentSettings.from_env() if settings is None else settings
        if chosen.control_plane_url is None or chosen.disabled:
            _LOGGER.info("No heartbeats: %s is not set.", TOKENBEAT_CONTROL_PLANE_URL)
            return
        try:
            # Outside of the chain of nonces: a `HeartbeatReader` may beat for the same books.
            self._sender = build_sender(
                chosen, control_plane_url=chosen.control_plane_url, kind="exporter", health=slot
            )
        except (PlaintextRefused, UrlRefused) as error:
            _LOGGER.error("No heartbeats: %s", error)  # noqa: TRY400 the sentence says it all
            return
        on_fork(self._sender.begin_child)

    def heartbeat_figures(self) -> HeartbeatFigures:
        """Metrics ``tokenbeat.heartbeat.{sent,failed,undelivered_tokens,age}``."""
        if self._sender is None:
            return HeartbeatFigures(sent=0, failed=0, undelivered_tokens=0, age_s=None)
        return self._sender.heartbeat_figures()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Send what the ledger holds; the points only say that it is time."""
        del metrics_data, kwargs
        if self._sender is None:
            return MetricExportResult.SUCCESS
        if self._ended or not self._deliver(timeout_s=timeout_millis / _MS_PER_S):
            return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what is new now; whether the control plane holds everything."""
        if self._sender is None:
            return True
        return self._deliver(timeout_s=timeout_millis / _MS_PER_S)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Send the final beat, at most 5 s long. Any number of times."""
        del kwargs
        if self._sender is None or self._ended:
            return
        self._ended = True
        # A reader that ran out of time passes what is left, and that can be below zero.
        timeout_s = min(timeout_millis / _MS_PER_S, _FINAL_S)
        if timeout_s > 0:
            self._deliver(timeout_s=timeout_s, final=True)
        self._sender.close()

    def _deliver(self, *, timeout_s: float, final: bool = False) -> bool:
        sender = self._sender
        if sender is None or not books().revision:
            # A process that never made a call leaves no trace.
            return True
        with _EXPORT:
            by_ns = self._clock.monotonic_ns() + int(timeout_s * _NS_PER_S)
            left_s = timeout_s
            while left_s > 0:
                beaten = sender.beat(final=final, timeout_s=left_s)
                if not beaten.more:
                    return beaten.complete
                left_s = (by_ns - self._clock.monotonic_ns()) / _NS_PER_S
        return False
