"""Keeps what a call's histograms need until the next collection. Runs on the call path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.telemetry.call_span import span_context_of
from tokenbeat.telemetry.histograms import CallFacts
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import WITH_USAGE

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from tokenbeat.ledger.report import Report
    from tokenbeat.telemetry.books import Books
    from tokenbeat.telemetry.histograms import HistogramRecorder
    from tokenbeat.usage.counts import Counts


class CallHistograms:
    """A `CallObserver` of one ledger; a forked child makes another for its own.

    Args:
        books: The ledger that it is subscribed to.
        recorder: Records what is kept here.
        labelled: Whether series name their incarnation.
    """

    __slots__ = (
        "_books", "_labelled", "_recorder", "_wants_chunks", "_wants_duration", "_wants_tokens"
    )  # fmt: skip

    def __init__(self, books: Books, *, recorder: HistogramRecorder, labelled: bool) -> None:
        self._books = books
        self._recorder = recorder
        self._labelled = labelled
        self._wants_tokens = recorder.wants_tokens
        self._wants_duration = recorder.wants_duration
        self._wants_chunks = recorder.wants_chunks

    @property
    def incarnation(self) -> str | None:
        """The books' incarnation as series name it; None where they do not."""
        return self._books.incarnation if self._labelled else None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to keep of a call."""
        return self._wants_tokens or self._wants_duration or self._wants_chunks

    def mute(self) -> None:
        """In a forked child: calls that the parent began are the parent's to record."""
        self._wants_tokens = self._wants_duration = self._wants_chunks = False

    def call_started(self, report: Report) -> None:
        """Nothing: open calls are read from the books."""

    def call_ended(self, report: Report) -> None:
        """Keep the call's times."""
        ended_ns = report.ended_mono_ns
        # An envelope is no inference of its own, and a local cache hit none at all.
        if ended_ns is None or report.is_envelope or report.cached:
            return
        started_ns, first_ns = report.started_mono_ns, report.first_chunk_ns
        if self._wants_duration:
            recorder = self._recorder
            facts, span = self._facts(report)
            recorder.room.add(recorder.duration, facts, ended_ns - started_ns, span)
        if first_ns is not None and self._wants_chunks:
            recorder = self._recorder
            facts, span = self._facts(report)
            last_ns, chunks = report.last_chunk_ns, report.chunks
            per_chunk_ns = None
            if last_ns is not None and chunks > 1:
                per_chunk_ns = (last_ns - first_ns) / (chunks - 1)
            recorder.room.add(recorder.chunks, facts, first_ns - started_ns, per_chunk_ns, span)

    def call_entered(self, report: Report, counts: Counts) -> None:
        """Keep the call's tokens."""
        usage = report.usage
        if usage is not None and counts[WITH_USAGE] and self._wants_tokens:
            recorder = self._recorder
            facts, span = self._facts(report)
            known = usage.input_tokens is not None, usage.output_tokens is not None
            recorder.room.add(recorder.tokens, facts, counts, known, span)

    def call_raised(self, report: Report, counts: Counts) -> None:
        """Keep the rise: the sums of the token histograms stay exact."""
        if self._wants_tokens:
            recorder = self._recorder
            facts, span = self._facts(report)
            recorder.room.add(recorder.tokens, facts, counts, (False, False), span)

    def _facts(self, report: Report) -> tuple[CallFacts, SpanContext | None]:
        """What histograms need of the call itself, and the span of its exemplars."""
        entry = report.entry
        if entry is None:
            key = CellKey(
                report.operation,
                report.provider,
                report.request_model,
                report.response_model,
                report.agent,
                report.caller.path,
            )
        else:
            key = entry.key
        facts = CallFacts(
            self._books.incarnation if self._labelled else None,
            key,
            report.server_address,
            report.server_port,
            report.error_type,
        )
        return facts, span_context_of(report)
