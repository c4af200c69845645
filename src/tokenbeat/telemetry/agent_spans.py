"""Spans and figures of agents, workflows and tools."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

from tokenbeat import semconv
from tokenbeat.telemetry.histograms import AgentFacts
from tokenbeat.telemetry.span_context import parent_context, suppressed
from tokenbeat.usage import counts as c

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer

    from tokenbeat.attribution import Scope
    from tokenbeat.clock import Clock
    from tokenbeat.telemetry.metrics import LedgerMetrics
    from tokenbeat.telemetry.span_attributes import CallAttributes
    from tokenbeat.usage.counts import Counts

_SHOWN: Final[dict[str, tuple[str, str]]] = {
    "lead_agent": (semconv.INVOKE_AGENT, semconv.AGENT_NAME),
    "subagent": (semconv.INVOKE_AGENT, semconv.AGENT_NAME),
    "workflow": (semconv.INVOKE_WORKFLOW, semconv.WORKFLOW_NAME),
    "tool": (semconv.EXECUTE_TOOL, semconv.TOOL_NAME),
}
"""Kinds of scopes that have a span: its operation, and which attribute their name is."""

_SUMS: Final = (
    (c.INPUT, semconv.AGENT_USAGE_INPUT),
    (c.OUTPUT, semconv.AGENT_USAGE_OUTPUT),
    (c.CACHE_READ, semconv.AGENT_USAGE_CACHE_READ),
    (c.CACHE_WRITE, semconv.AGENT_USAGE_CACHE_WRITE),
    (c.REASONING, semconv.AGENT_USAGE_REASONING),
    (c.UNCLASSIFIED, semconv.UNCLASSIFIED_USAGE),
)


class Tally:
    """What a scope that has a span carries in its ``tallies`` slot.

    Attributes:
        operation: What its span shows.
        started_mono_ns: When it began, monotonic.
        process: The observer's mark of the process it began in.
        calls: Finished calls that were made in it and in no agent inside it; no cache hits.
        tool_calls: Tools that were executed in it likewise.
        tokens: The sums of those calls.
    """

    __slots__ = (
        "_lock", "calls", "operation", "process", "started_mono_ns", "tokens", "tool_calls"
    )  # fmt: skip

    def __init__(self, *, operation: str, started_mono_ns: int, process: object) -> None:
        self.operation = operation
        self.started_mono_ns = started_mono_ns
        self.process = process
        self.calls = 0
        self.tool_calls = 0
        self.tokens: Counts = c.ZERO_COUNTS
        # Calls of one agent end in several threads.
        self._lock = threading.Lock()

    def add_call(self, counts: Counts) -> None:
        """Add a call that was entered, or the increments of a raise."""
        with self._lock:
            self.calls += c.finished(counts) - counts[c.CACHED]
            self.tokens = c.add(self.tokens, counts)

    def add_tool(self) -> None:
        """Add a tool that began."""
        with self._lock:
            self.tool_calls += 1


class AgentSpans:
    """Opens and ends the spans of scopes, nested as the scopes are. A `ScopeObserver`.

    Args:
        tracer: Of our scope.
        attributes: For ids that may have to be hashed.
        metrics: Whose histograms get the figures, or None.
        clock: Its monotonic side measures durations.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        attributes: CallAttributes,
        metrics: LedgerMetrics | None,
        clock: Clock,
    ) -> None:
        self._tracer = tracer
        self._attributes = attributes
        self._metrics = metrics
        self._clock = clock
        self._process = object()

    def begin_child(self) -> None:
        """In a forked child: spans that are open are the parent's; it ends them."""
        self._process = object()

    def tally_of(self, scope: Scope | None) -> Tally | None:
        """The tally of the nearest agent or workflow around a call or tool."""
        while scope is not None:
            tally = scope.tallies
            if isinstance(tally, Tally) and tally.operation != semconv.EXECUTE_TOOL:
                return tally
            scope = scope.parent
        return None

    def scope_opened(self, scope: Scope) -> None:
        """Open the span of an agent, a workflow or a tool; other scopes have none."""
        shown = _SHOWN.get(scope.kind)
        if shown is None:
            return
        operation, name_attribute = shown
        scope.tallies = Tally(
            operation=operation,
            started_mono_ns=self._clock.monotonic_ns(),
            process=self._process,
        )
        if operation == semconv.EXECUTE_TOOL:
            around = self.tally_of(scope.parent)
            if around is not None:
                around.add_tool()
        context = parent_context(scope.parent)
        if suppressed(context):
            return
        name = _name_of(scope)
        attributes: dict[str, Any] = {
            semconv.OPERATION_NAME: operation,
            semconv.CALLER: scope.caller.instance_path,
        }
        if name is not None:
            attributes[name_attribute] = name
        self._add_context(attributes, scope, operation)
        scope.span = self._tracer.start_span(
            operation if name is None else f"{operation} {name}",
            context=context,
            kind=SpanKind.INTERNAL,
            attributes=attributes,
        )

    def _add_context(self, attributes: dict[str, Any], scope: Scope, operation: str) -> None:
        run = scope.run
        if run is not None:
            attributes[semconv.RUN_ID] = self._attributes.identifier(run.run_id)
        thread_id = scope.thread_id or (None if run is None else run.thread_id)
        if thread_id is not None:
            attributes[semconv.CONVERSATION_ID] = self._attributes.identifier(thread_id)
        if operation == semconv.EXECUTE_TOOL:
            attributes[semconv.TOOL_TYPE] = "function"
            if scope.tool_call_id is not None:
                attributes[semconv.TOOL_CALL_ID] = scope.tool_call_id
            if scope.agent is not None:
                attributes[semconv.AGENT_NAME] = scope.agent

    def scope_closed(self, scope: Scope, *, error_type: str | None) -> None:
        """End the span; keep the figures for the histograms."""
        tally = scope.tallies
        if not isinstance(tally, Tally) or tally.process is not self._process:
            return
        span = cast("Span | None", scope.span)
        context: SpanContext | None = None
        if span is not None:
            ids = span.get_span_context()
            context = ids
            if span.is_recording():
                attributes = _end_attributes(tally, error_type=error_type)
                if attributes:
                    span.set_attributes(attributes)
                if error_type is not None:
                    span.set_status(StatusCode.ERROR)
            span.end()
            # What is kept of the scope shall not keep the span; its ids are enough for late work.
            scope.span = NonRecordingSpan(ids)
        self._keep_figures(scope, tally, error_type=error_type, span=context)

    def _keep_figures(
        self, scope: Scope, tally: Tally, *, error_type: str | None, span: SpanContext | None
    ) -> None:
        metrics = self._metrics
        if metrics is None or not metrics.recorder.wants_agents:
            return
        recorder = metrics.recorder
        duration_ns = self._clock.monotonic_ns() - tally.started_mono_ns
        facts = AgentFacts(
            metrics.incarnation,
            _SHOWN[scope.kind][1],
            _name_of(scope),
            scope.agent if tally.operation == semconv.EXECUTE_TOOL else None,
            error_type,
        )
        if tally.operation == semconv.INVOKE_AGENT:
            recorder.room.add(
                recorder.agent, facts, duration_ns, tally.calls, tally.tool_calls, span
            )
        elif tally.operation == semconv.INVOKE_WORKFLOW:
            recorder.room.add(recorder.workflow, facts, duration_ns, span)
        else:
            recorder.room.add(recorder.tool, facts, duration_ns, span)


def _name_of(scope: Scope) -> str | None:
    """``gen_ai.agent.name`` of an agent, else the scope's own name."""
    if scope.kind in {"lead_agent", "subagent"}:
        return scope.agent or scope.name or None
    return scope.name or None


def _end_attributes(tally: Tally, *, error_type: str | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if tally.operation != semconv.EXECUTE_TOOL and tally.calls:
        attributes[semconv.AGENT_INFERENCE_CALLS] = tally.calls
        for index, name in _SUMS:
            if tally.tokens[index]:
                attributes[name] = tally.tokens[index]
    if error_type is not None:
        attributes[semconv.ERROR_TYPE] = error_type
    return attributes
