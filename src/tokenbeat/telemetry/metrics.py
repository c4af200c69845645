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
from tokenbeat.telemetry.call_histograms import CallHistograms
from tokenbeat.telemetry.histograms import HistogramRecorder
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.providers import PROVIDER_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider

    from tokenbeat.ledger.snapshot import Snapshot
    from tokenbeat.telemetry.attributes import Attributes
    from tokenbeat.telemetry.books import Books, BookSet
    from tokenbeat.telemetry.feed import IncarnationFeed
    from tokenbeat.telemetry.figures import HeartbeatSource

_HEARTBEAT: Final = contained("telemetry.heartbeat_figures")
_RECOVERED: Final = contained("telemetry.recovered")
_STOP: Final = contained("telemetry.stop")
_DRAIN: Final = contained("telemetry.histograms")


class LedgerMetrics:
    """Shows a set of books on one meter provider.

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
        self._labelled = options.incarnation_label
        self._on_snapshot = on_snapshot
        self._heartbeat: HeartbeatSource | None = None
        self._state = PROVIDER_STATES.of(meter_provider, options=options)
        self.recorder = HistogramRecorder(self._state.instruments, options=options)
        self.on_give_way: Callable[[], None] = self.stop
        """How to stop when a newer installation takes the provider over."""
        former = self._state.installed
        if former is not None:
            former.give_way()
        self._state.installed = self
        self._calls = self._subscribe()

    def _subscribe(self) -> CallHistograms:
        living = self._books.living
        calls = CallHistograms(living, recorder=self.recorder, labelled=self._labelled)
        if calls.wanted:
            living.subscribe(calls)
        return calls

    @property
    def incarnation(self) -> str | None:
        """The living incarnation as series name it; None where they do not."""
        return self._calls.incarnation

    def watch_heartbeat(self, source: HeartbeatSource | None) -> None:
        """Show this sender's figures from the next collection on; None shows none."""
        self._heartbeat = source

    def stop(self) -> None:
        """Feed what was counted so far, and observe nothing more."""
        self._books.living.unsubscribe(self._calls)
        with _STOP:
            self.collect()
        with self._state.feeding:
            if self._state.installed is self:
                self._state.installed = None

    def give_way(self) -> None:
        """A newer installation takes the provider over."""
        self.on_give_way()

    def begin_child(self, living: Books) -> None:
        """In a forked child: show other living books, and nothing that is the parent's.

        What the SDK inherited is exported by the child as well, under the *parent's* incarnation:
        the same series once more, which a maximum does not mind.
        """
        PROVIDER_STATES.renew_after_fork()
        self._state.renew_locks()
        self.recorder.room.forget()
        self._heartbeat = None
        self._calls.mute()
        self._books.begin_child(living)
        self._calls = self._subscribe()

    # A collection; in the reader's thread ----------------------------------------------------

    def collect(self) -> Sequence[Observation]:
        """Feed what grew since the last collection of any reader; answer with the open calls."""
        with self._state.feeding:
            if self._state.installed is not self:
                return ()
            return self._collect()

    def _collect(self) -> Sequence[Observation]:
        living = self._books.living
        feed = self._state.feed_of(living.incarnation)
        snapshot = living.snapshot(since=feed.revision)
        if snapshot.incarnation != feed.incarnation:  # it took another id meanwhile
            feed = self._state.feed_of(snapshot.incarnation)
            snapshot = living.snapshot(since=feed.revision)
        if not snapshot.revision:
            # A process that never made a call (a helper of the application's) leaves no trace.
            return ()
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
