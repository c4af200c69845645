"""Puts the books on a meter provider and a tracer provider, and takes them off again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api

from tokenbeat.attribution import add_scope_observer, remove_scope_observer
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.process import books, on_fork
from tokenbeat.telemetry.books import BookSet
from tokenbeat.telemetry.metrics import LedgerMetrics
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.spans import SpanObserver
from tokenbeat.telemetry.temporality import warn_of_delta

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from tokenbeat.clock import Clock
    from tokenbeat.telemetry.books import Books


class Installed:
    """Telemetry of one process, until `uninstall`.

    Attributes:
        books: The living books and the recovered ones that are shown.
        metrics: The metrics; `LedgerMetrics.watch_heartbeat` takes the sender's figures.
        spans: The spans.
    """

    def __init__(
        self, *, books_shown: BookSet, metrics: LedgerMetrics, spans: SpanObserver
    ) -> None:
        self.books = books_shown
        self.metrics = metrics
        self.spans = spans
        self._active = True
        metrics.on_give_way = self.uninstall

    def begin_child(self, living: Books) -> None:
        """In a forked child: show its books under its incarnation, and nothing of the parent's."""
        if not self._active:
            return
        self.spans.begin_child()
        living.subscribe(self.spans)
        self.metrics.begin_child(living)

    def uninstall(self) -> None:
        """Stop: callbacks observe nothing, calls make no spans. A second time does nothing."""
        if not self._active:
            return
        self._active = False
        remove_scope_observer(self.spans)
        self.books.living.unsubscribe(self.spans)
        self.spans.finish()
        self.metrics.stop()

    def after_fork(self) -> None:
        """The hook that runs in forked children of this process."""
        self.begin_child(books())


def install(
    *,
    ledger: Books,
    options: TelemetryOptions | None = None,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Installed:
    """Show a ledger as metrics and spans.

    Args:
        ledger: The living books. After a fork the child shows its own process's books instead.
        options: Vocabulary, histograms, hashed ids.
        meter_provider: Where the metrics go; the global one unless told otherwise.
        tracer_provider: Where the spans go; the global one unless told otherwise.
        clock: Measures agents and tools.

    Returns:
        What was installed; on the same provider a later installation takes its place.
    """
    options = TelemetryOptions() if options is None else options
    meters = metrics_api.get_meter_provider() if meter_provider is None else meter_provider
    tracers = trace_api.get_tracer_provider() if tracer_provider is None else tracer_provider
    warn_of_delta(meters)
    shown = BookSet(ledger)
    metrics = LedgerMetrics(shown, meter_provider=meters, options=options)
    spans = SpanObserver(tracers, options=options, metrics=metrics, clock=clock)
    ledger.subscribe(spans)
    add_scope_observer(spans)
    installed = Installed(books_shown=shown, metrics=metrics, spans=spans)
    # Weakly: the hook cannot be taken back, and what was uninstalled shall be free to go.
    after_fork: WeakMethod[Any] = WeakMethod(installed.after_fork)

    def renew() -> None:
        method = after_fork()
        if method is not None:
            method()

    on_fork(renew)
    return installed
