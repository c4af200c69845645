"""The books as metrics: one snapshot for each collection, fed into counters.

Nothing is recorded on the call path. The SDK's own way, observable counters, *adds* what it saw in
a collection that timed out half-way to the next one: 100 becomes 300. A synchronous counter that
is fed the growth since the last feed is immune, since every token is told exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation

from tokenbeat import semconv
from tokenbeat.guard import contained, guarded_errors
from tokenbeat.telemetry.call_span import span_context_of
from tokenbeat.telemetry.histograms import CallFacts, HistogramRecorder
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.providers import PROVIDER_STATES
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import WITH_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider

    from tokenbeat.ledger.report import Report
    from tokenbeat.ledger.snapshot import Snapshot
    from tokenbeat.telemetry.attributes import Attributes
    from tokenbeat.telemetry.books import Books, BookSet
    from tokenbeat.telemetry.feed import IncarnationFeed
    from tokenbeat.telemetry.figures import HeartbeatSource
    from tokenbeat.usage.counts import Counts

_HEARTBEAT: Final = contained("telemetry.heartbeat_figures")
_RECOVERED: Final = contained("telemetry.recovered")
_DRAIN: Final = contained("telemetry.histograms")


class LedgerMetrics:
    """Shows a set of books on one meter provider. A `CallObserver` of the living books.

    One is installed on a provider at a time; a newer one takes the older one's place.

    Args:
        books: Whose counts are shown.
        meter_provider: Any provider; where it has no reader nothing is ever collected.
        options: Vocabulary and histograms.
        on_snapshot: Told each collection's snapshot after it was fed, in the reader's thread: for
            whoever compares the collection's points with the books.
    """

    def __init__(
        self,
        books: BookSet,
        *,
        meter_provider: MeterProvider,
        options: TelemetryOptions | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
    ) -> None:
        options = TelemetryOptions() if options is None else options
        self._books = books
        self._label = options.incarnation_label
        self._on_snapshot = on_snapshot
        self._heartbeat: HeartbeatSource | None = None
        self._state = PROVIDER_STATES.of(meter_provider, options=options)
        self.recorder = HistogramRecorder(self._state.instruments, options=options)
        self._state.installed = self
        self._subscribe()

    def _subscribe(self) -> None:
        if self.recorder.wanted:
            self._books.living.subscribe(self)

    @property
    def incarnation(self) -> str | None:
        """The living incarnation as series name it; None where they do not."""
        return self._books.living.incarnation if self._label else None

    def watch_heartbeat(self, source: HeartbeatSource | None) -> None:
        """Show this sender's figures from the next collection on; None shows none."""
        self._heartbeat = source

    def stop(self) -> None:
        """Observe nothing more. What was counted and not collected stays in the books alone."""
        self._books.living.unsubscribe(self)
        with _DRAIN:
            self.recorder.room.drain()
        if self._state.installed is self:
            self._state.installed = None

    def begin_child(self, living: Books) -> None:
        """In a forked child: show other living books, and nothing that is the parent's.

        What the SDK inherited is exported by the child as well, under the *parent's* incarnation:
        the same series once more, which a maximum does not mind.
        """
        PROVIDER_STATES.renew_after_fork()
        self._state.renew_locks()
        self.recorder.room.forget()
        self._heartbeat = None
        self._books.begin_child(living)
        if self._state.installed is self:
            self._subscribe()

    # A collection; in the reader's thread ----------------------------------------------------

    def collect(self) -> Sequence[Observation]:
        """Feed what grew since the last collection of any reader; answer with the open calls."""
        living = self._books.living
        feed = self._state.feed_of(living.incarnation)
        snapshot = living.snapshot(since=feed.revision)
        if snapshot.incarnation != feed.incarnation:  # it took another id meanwhile
            feed = self._state.feed_of(snapshot.incarnation)
            snapshot = living.snapshot(since=feed.revision)
        feed.feed(snapshot)
        feed.feed_books(snapshot.books)
        for place, errors in guarded_errors().items():
            feed.feed_total(semconv.GUARDED_ERRORS, errors, of=(semconv.PLACE, place))
        attributes: Attributes = {} if feed.label is None else {semconv.INCARNATION: feed.label}
        instruments = self._state.instruments
        instruments.set_gauge(semconv.LEDGER_REVISION, snapshot.revision, attributes)
        with _HEARTBEAT:
            self._feed_heartbeat(feed, attributes)
        with _RECOVERED:
            self._feed_recovered()
        with _DRAIN:
            self.recorder.room.drain()
        if self._on_snapshot is not None:
            self._on_snapshot(snapshot)
        return [Observation(snapshot.open, attributes)]

    def _feed_heartbeat(self, feed: IncarnationFeed, attributes: Attributes) -> None:
        if self._heartbeat is None:
            return
        figures = self._heartbeat.heartbeat_figures()
        feed.feed_total(semconv.HEARTBEAT_SENT, figures.sent)
        feed.feed_total(semconv.HEARTBEAT_FAILED, figures.failed)
        instruments = self._state.instruments
        instruments.set_gauge(
            semconv.HEARTBEAT_UNDELIVERED_TOKENS, figures.undelivered_tokens, attributes
        )
        if figures.age_s is not None:
            instruments.set_gauge(semconv.HEARTBEAT_AGE, figures.age_s, attributes)

    def _feed_recovered(self) -> None:
        for books in self._books.recovered:
            snapshot = books.snapshot()
            feed = self._state.recovered_feed_of(snapshot.incarnation)
            if feed.revision < snapshot.revision:
                feed.feed(snapshot)

    # Calls; in the application's thread ------------------------------------------------------

    def call_started(self, report: Report) -> None:
        """Nothing: open calls are read from the books."""

    def call_ended(self, report: Report) -> None:
        """Keep the call's times for the next collection."""
        recorder = self.recorder
        # An envelope is no inference of its own, and a local cache hit none at all.
        if report.is_envelope or report.cached or report.ended_mono_ns is None:
            return
        started_ns = report.started_mono_ns
        if recorder.wants_duration:
            recorder.room.add(
                recorder.duration,
                self._facts(report),
                report.ended_mono_ns - started_ns,
                span_context_of(report),
            )
        first_ns, last_ns, chunks = report.first_chunk_ns, report.last_chunk_ns, report.chunks
        if recorder.wants_chunks and first_ns is not None:
            per_chunk_ns = None
            if last_ns is not None and chunks > 1:
                per_chunk_ns = (last_ns - first_ns) / (chunks - 1)
            recorder.room.add(
                recorder.chunks,
                self._facts(report),
                first_ns - started_ns,
                per_chunk_ns,
                span_context_of(report),
            )

    def call_entered(self, report: Report, counts: Counts) -> None:
        """Keep the call's tokens for the next collection."""
        recorder = self.recorder
        usage = report.usage
        if recorder.wants_tokens and counts[WITH_USAGE] and usage is not None:
            recorder.room.add(
                recorder.tokens,
                self._facts(report),
                counts,
                (usage.input_tokens is not None, usage.output_tokens is not None),
                span_context_of(report),
            )

    def call_raised(self, report: Report, counts: Counts) -> None:
        """Keep the rise for the next collection: sums of the token histograms stay exact."""
        recorder = self.recorder
        if recorder.wants_tokens:
            recorder.room.add(
                recorder.tokens,
                self._facts(report),
                counts,
                (False, False),
                span_context_of(report),
            )

    def _facts(self, report: Report) -> CallFacts:
        entry = report.entry
        key = (
            entry.key
            if entry is not None
            else CellKey(
                report.operation,
                report.provider,
                report.request_model,
                report.response_model,
                report.agent,
                report.caller.path,
            )
        )
        return CallFacts(
            self.incarnation, key, report.server_address, report.server_port, report.error_type
        )
