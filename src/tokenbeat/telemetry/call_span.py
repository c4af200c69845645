"""What a report carries in its ``span`` slot: the span that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

    from tokenbeat.ledger.report import Report


class CallSpan:
    """A span of one call, shared by the report that opened it and the first ones inside it.

    Attributes:
        span: The span.
        owner: The report that opened it and whose end ends it.
        shown: The innermost report that shares it: the span shows that one's usage, no other's.
        process: The observer's mark of the process that opened it: a forked child never ends it.
        ended: Whether it was ended.
        span_context: The ids of the span if it is sampled; unsampled, it is nobody's exemplar.
    """

    __slots__ = ("ended", "owner", "process", "shown", "span", "span_context")

    def __init__(self, span: Span, *, owner: Report, process: object) -> None:
        self.span = span
        self.owner = owner
        self.shown = owner
        self.process = process
        self.ended = False
        context = span.get_span_context()
        self.span_context: SpanContext | None = context if context.trace_flags.sampled else None

    @property
    def unsettled(self) -> bool:
        """Whether the books have not decided yet about the report whose usage it shows."""
        return self.shown.open or self.shown.held


def span_context_of(report: Report) -> SpanContext | None:
    """The ids of the sampled span that shows a report, or None."""
    shown = report.span
    return shown.span_context if isinstance(shown, CallSpan) else None
