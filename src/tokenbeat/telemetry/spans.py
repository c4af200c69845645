"""Calls, agents and tools as spans, nested as the agents are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.context import get_current
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode, set_span_in_context

from tokenbeat import semconv
from tokenbeat.attribution.scope import Scope
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.telemetry.agent_spans import AgentSpans
from tokenbeat.telemetry.call_span import CallSpan
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.providers import distribution_version
from tokenbeat.telemetry.span_attributes import CallAttributes
from tokenbeat.telemetry.span_context import inference_shown, parent_context

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider

    from tokenbeat.clock import Clock
    from tokenbeat.ledger.report import Report
    from tokenbeat.telemetry.metrics import LedgerMetrics
    from tokenbeat.usage.counts import Counts

_MOST_UNSETTLED: Final = 1_000
"""Spans whose end waits for the books to decide; seconds each. Beyond, the oldest ends as it is."""


class SpanObserver:
    """Makes the spans. A `CallObserver` and a `ScopeObserver`; it never decides about a count.

    The first report of a call opens its span, and the reports inside it share it, each later
    attempt excepted, which opens its own below. A span carries the usage of one leaf, so that the
    sum over call spans is the total.

    Args:
        tracer_provider: Any provider, a proxy too.
        options: For hashed ids.
        metrics: Whose histograms get the figures of agents and tools, or None.
        clock: Measures agents and tools.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider,
        *,
        options: TelemetryOptions | None = None,
        metrics: LedgerMetrics | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        options = TelemetryOptions() if options is None else options
        self._tracer = tracer_provider.get_tracer(
            semconv.SCOPE_NAME, distribution_version(), options.schema_url
        )
        self._attributes = CallAttributes(hash_ids=options.hash_ids)
        self._agents = AgentSpans(
            self._tracer, attributes=self._attributes, metrics=metrics, clock=clock
        )
        # What agents and tools need no more than to pass on.
        self.scope_opened = self._agents.scope_opened
        self.scope_closed = self._agents.scope_closed
        self._forget()

    def _forget(self) -> None:
        self._process = object()
        self._lock = threading.Lock()
        self._unsettled: list[CallSpan] = []

    def begin_child(self) -> None:
        """In a forked child: spans that are open are the parent's; it ends them, we never do."""
        self._forget()
        self._agents.begin_child()

    # Calls -----------------------------------------------------------------------------------

    def call_started(self, report: Report) -> None:
        """Open the call's span, or share its envelope's."""
        envelope = report.inside
        if envelope is not None:
            lent = self._span_of(envelope)
            if lent is not None and lent.span is not None:
                with self._lock:  # two attempts may begin at once
                    if lent.shown is envelope:
                        lent.shown = report
                        report.span = lent
                        return
                report.span = self._open(report, set_span_in_context(lent.parent, get_current()))
                return
        scope = report.scope
        own: Scope | None = None
        around: Scope | None = None
        if isinstance(scope, Scope):
            if scope.kind == "call":
                own, around = scope, scope.parent
            else:
                around = scope
        context = parent_context(around)
        if inference_shown(context):
            return
        opened = report.span = self._open(report, context)
        if own is not None and own.span is None:
            own.span = opened.span

    def _open(self, report: Report, context: Context) -> CallSpan:
        name, attributes = self._attributes.at_start(report)
        span = self._tracer.start_span(
            name,
            context=context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=report.started_ns,
        )
        return CallSpan(span, owner=report, process=self._process)

    def call_ended(self, report: Report) -> None:
        """End the span that the report opened, as soon as the books know what it used."""
        shown = report.span
        if isinstance(shown, CallSpan) and shown.owner is report and shown.process is self._process:
            leaf = shown.shown
            if leaf is not None and (leaf.open or leaf.held):
                self._wait_for(shown)
            else:
                self._end(shown)
        if self._unsettled:
            self._end_settled()

    def call_entered(self, report: Report, counts: Counts) -> None:
        """Add the call to its agent. A call that no span shows gets one of its own."""
        scope = report.scope
        if not isinstance(scope, Scope) or scope.parent is not None or scope.tallies is not None:
            self._add_to_agent(report, counts)
        shown = report.span
        if (
            isinstance(shown, CallSpan)
            and shown.shown is not report
            and shown.process is self._process
        ):
            # An envelope that used more than what is inside it, beside the span that it lent.
            self._end(self._open(report, set_span_in_context(shown.parent, get_current())))
        if self._unsettled:
            self._end_settled()

    def call_raised(self, report: Report, counts: Counts) -> None:
        """Add the rise to the call's agent; the span reads the books when it ends."""
        self._add_to_agent(report, counts)

    def _add_to_agent(self, report: Report, counts: Counts) -> None:
        tally = self._agents.tally_of(self._scope_of(report))
        if tally is not None:
            tally.add_call(counts)

    @staticmethod
    def _scope_of(report: Report) -> Scope | None:
        while not isinstance(report.scope, Scope):
            if report.inside is None:
                return None
            report = report.inside
        return report.scope

    def _span_of(self, report: Report) -> CallSpan | None:
        shown = report.span
        if isinstance(shown, CallSpan) and shown.process is self._process:
            return shown
        return None

    # Ending ----------------------------------------------------------------------------------

    def _wait_for(self, shown: CallSpan) -> None:
        with self._lock:
            self._unsettled.append(shown)
            oldest = self._unsettled.pop(0) if len(self._unsettled) > _MOST_UNSETTLED else None
        if oldest is not None:
            self._end(oldest)

    def _end_settled(self) -> None:
        with self._lock:
            settled = [shown for shown in self._unsettled if not shown.unsettled]
            if settled:
                self._unsettled = [s for s in self._unsettled if s not in settled]
        for shown in settled:
            self._end(shown)

    def finish(self) -> None:
        """End the spans whose calls the books have not decided about; before an exit."""
        with self._lock:
            waiting, self._unsettled = self._unsettled, []
        for shown in waiting:
            self._end(shown)

    def _end(self, shown: CallSpan) -> None:
        span, owner, leaf = shown.span, shown.owner, shown.shown
        if span is None or owner is None or leaf is None:
            return
        shown.owner = shown.shown = shown.span = None  # only the ids are kept
        scope = owner.scope
        if isinstance(scope, Scope) and scope.span is span:
            scope.span = NonRecordingSpan(shown.ids)
        if span.is_recording():
            attributes = self._attributes.at_end(owner, leaf)
            if attributes:
                span.set_attributes(attributes)
            if owner.outcome == "error":
                # The type is an attribute; a text would carry parts of prompts.
                span.set_status(StatusCode.ERROR)
        ended_mono_ns = owner.ended_mono_ns
        if ended_mono_ns is None:
            span.end()
        else:
            # Not the wall clock at the end: it may have been set back in between.
            span.end(owner.started_ns + ended_mono_ns - owner.started_mono_ns)
