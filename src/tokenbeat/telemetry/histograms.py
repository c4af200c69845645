"""Which values go into which histogram, and under which attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, set_span_in_context

from tokenbeat import semconv
from tokenbeat.telemetry.attributes import cell_attributes
from tokenbeat.telemetry.waiting import WaitingRoom
from tokenbeat.usage import counts as c

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import SpanContext

    from tokenbeat.telemetry.attributes import Attributes
    from tokenbeat.telemetry.instruments import Instruments
    from tokenbeat.telemetry.options import TelemetryOptions
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

    Remembered = tuple[Callable[[float, Attributes, Context], None], Attributes]

_NO_SPAN: Final = set_span_in_context(INVALID_SPAN, Context())
"""A context without a span. An empty one will not do: the SDK takes the current one instead."""

_MOST_REMEMBERED: Final = 4_000
_NS_IN_S: Final = 1e9


class CallFacts(NamedTuple):
    """What histograms need of a call, without holding on to its report.

    Attributes:
        incarnation: Who counted it, or None where series do not say.
        key: Its cell.
        server_address: The host, or None.
        server_port: Its port, or None.
        error_type: How it failed, or None.
    """

    incarnation: str | None
    key: CellKey
    server_address: str | None
    server_port: int | None
    error_type: str | None


class AgentFacts(NamedTuple):
    """What histograms need of an agent, a workflow or a tool.

    Attributes:
        incarnation: Who counted it, or None where series do not say.
        name_attribute: Which attribute its name is.
        name: Its name, or None where it has none.
        agent: The agent that a tool ran for, or None.
        error_type: How it failed, or None.
    """

    incarnation: str | None
    name_attribute: str
    name: str | None
    agent: str | None
    error_type: str | None


class HistogramRecorder:
    """Takes values of calls and agents; records them when the room is drained.

    Args:
        instruments: Where the histograms are.
        options: Which of them are wanted.
    """

    def __init__(self, instruments: Instruments, *, options: TelemetryOptions) -> None:
        self.room = WaitingRoom()
        self._instruments = instruments
        # By whose value it is, then by histogram: facts are dear to look up.
        self._remembered: dict[CallFacts | AgentFacts, dict[object, Remembered]] = {}
        self._bare: tuple[SpanContext | None, Context] = (None, _NO_SPAN)
        groups = options.histograms
        self._token_usage = options.legacy and "tokens" in groups
        self._distribution = options.latest and "token_distribution" in groups
        self._latest_time = options.latest
        self._legacy_time = options.legacy and (not options.latest or "legacy_time" in groups)
        self.wants_tokens = self._token_usage or self._distribution
        self.wants_duration = "duration" in groups
        self.wants_chunks = "chunks" in groups
        self.wants_agents = options.latest and "agents" in groups

    # Recording; runs in a collection, or inline where the room is full ----------------------

    def tokens(
        self, facts: CallFacts, counts: Counts, known: tuple[bool, bool], span: SpanContext | None
    ) -> None:
        """Record a call's tokens, or the increments of a raise.

        Args:
            facts: Whose tokens.
            counts: The increments of its cell.
            known: Whether input and output are known although they may be 0.
            span: The call's span, for the exemplar.
        """
        context = self._context_of(span)
        for index, told, token_type, latest in (
            (c.INPUT, known[0], "input", semconv.OPERATION_INPUT_TOKENS),
            (c.OUTPUT, known[1], "output", semconv.OPERATION_OUTPUT_TOKENS),
        ):
            tokens = counts[index]
            if not tokens and not told:
                continue
            if self._token_usage:
                # The legacy metric has no error.type.
                self._record(
                    semconv.LEGACY_TOKEN_USAGE,
                    _without_error(facts),
                    tokens,
                    context=context,
                    extra=(semconv.TOKEN_TYPE, token_type),
                )
            if self._distribution:
                self._record(latest, facts, tokens, context=context)

    def duration(self, facts: CallFacts, duration_ns: int, span: SpanContext | None) -> None:
        """Record how long a call took."""
        self._time(
            facts,
            duration_ns / _NS_IN_S,
            latest=semconv.INFERENCE_DURATION,
            legacy=semconv.OPERATION_DURATION,
            context=self._context_of(span),
        )

    def chunks(
        self, facts: CallFacts, first_ns: int, per_chunk_ns: float | None, span: SpanContext | None
    ) -> None:
        """Record a stream's waits: for the first chunk, and the mean between chunks (None: one)."""
        context = self._context_of(span)
        facts = _without_error(facts)
        self._time(
            facts,
            first_ns / _NS_IN_S,
            latest=semconv.INFERENCE_TIME_TO_FIRST_CHUNK,
            legacy=semconv.LEGACY_TIME_TO_FIRST_CHUNK,
            context=context,
        )
        if per_chunk_ns is not None:
            self._time(
                facts,
                per_chunk_ns / _NS_IN_S,
                latest=semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK,
                legacy=semconv.LEGACY_TIME_PER_OUTPUT_CHUNK,
                context=context,
            )

    def agent(
        self,
        facts: AgentFacts,
        duration_ns: int,
        inference_calls: int,
        tool_calls: int,
        span: SpanContext | None,
    ) -> None:
        """Record an invocation of an agent."""
        context = self._context_of(span)
        self._record_agent(
            semconv.INVOKE_AGENT_DURATION, facts, duration_ns / _NS_IN_S, context=context
        )
        facts = facts._replace(error_type=None)
        self._record_agent(
            semconv.INVOKE_AGENT_INFERENCE_CALLS, facts, inference_calls, context=context
        )
        self._record_agent(semconv.INVOKE_AGENT_TOOL_CALLS, facts, tool_calls, context=context)

    def workflow(self, facts: AgentFacts, duration_ns: int, span: SpanContext | None) -> None:
        """Record a run of a workflow."""
        self._record_agent(
            semconv.INVOKE_WORKFLOW_DURATION,
            facts,
            duration_ns / _NS_IN_S,
            context=self._context_of(span),
        )

    def tool(self, facts: AgentFacts, duration_ns: int, span: SpanContext | None) -> None:
        """Record an execution of a tool."""
        self._record_agent(
            semconv.EXECUTE_TOOL_DURATION,
            facts,
            duration_ns / _NS_IN_S,
            context=self._context_of(span),
        )

    def _time(
        self, facts: CallFacts, value_s: float, *, latest: str, legacy: str, context: Context
    ) -> None:
        if facts.key.operation == "embeddings":
            # No inference by the conventions: one name in every vocabulary, and no chunks.
            self._record(semconv.OPERATION_DURATION, facts, value_s, context=context)
            return
        if self._latest_time:
            self._record(latest, facts, value_s, context=context)
        if self._legacy_time:
            self._record(legacy, facts, value_s, context=context)

    def _record(
        self,
        name: str,
        facts: CallFacts,
        value: float,
        *,
        context: Context,
        extra: tuple[str, str] | None = None,
    ) -> None:
        series = self._remembered.get(facts)
        remembered = None if series is None else series.get(extra or name)
        if remembered is None:
            attributes = cell_attributes(facts.key, incarnation=facts.incarnation)
            if facts.server_address is not None:
                attributes[semconv.SERVER_ADDRESS] = facts.server_address
                if facts.server_port is not None:
                    attributes[semconv.SERVER_PORT] = facts.server_port
            if facts.error_type is not None:
                attributes[semconv.ERROR_TYPE] = facts.error_type
            if extra is not None:
                attributes[extra[0]] = extra[1]
            remembered = self._remember(facts, extra or name, name, attributes)
        record, attributes = remembered
        record(value, attributes, context)

    def _record_agent(
        self, name: str, facts: AgentFacts, value: float, *, context: Context
    ) -> None:
        series = self._remembered.get(facts)
        remembered = None if series is None else series.get(name)
        if remembered is None:
            attributes: Attributes = {}
            if facts.name is not None:
                attributes[facts.name_attribute] = facts.name
            if name == semconv.EXECUTE_TOOL_DURATION:
                attributes[semconv.TOOL_TYPE] = "function"
            if facts.agent is not None:
                attributes[semconv.AGENT_NAME] = facts.agent
            if facts.error_type is not None:
                attributes[semconv.ERROR_TYPE] = facts.error_type
            if facts.incarnation is not None:
                attributes[semconv.INCARNATION] = facts.incarnation
            remembered = self._remember(facts, name, name, attributes)
        record, attributes = remembered
        record(value, attributes, context)

    def _context_of(self, span: SpanContext | None) -> Context:
        """A context with nothing but the span's ids: the call's own would keep all of it alive.

        What a call waits with stands side by side, so that one context does for it.
        """
        if span is None or not span.trace_flags.sampled:
            return _NO_SPAN
        last, context = self._bare
        if last is not span:
            context = set_span_in_context(NonRecordingSpan(span), Context())
            self._bare = span, context
        return context

    def _remember(
        self, facts: CallFacts | AgentFacts, key: object, name: str, attributes: Attributes
    ) -> Remembered:
        histogram = self._instruments.histogram(name)
        remembered = histogram.record, histogram.sets.admit(attributes)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered.setdefault(facts, {})[key] = remembered
        return remembered


def _without_error(facts: CallFacts) -> CallFacts:
    return facts if facts.error_type is None else facts._replace(error_type=None)
