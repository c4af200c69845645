"""What a report carries in its ``span`` slot: the span that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

    from tokenbeat.ledger.report import Report


class CallSpan:
    """A span of one call, shared by the report that opened it and the first ones inside it.

    Once the span has ended nothing but its ids is kept: the books remember reports for an hour, to
    join others to them, and with the SDK's span each would weigh 5 KB and be a cycle.

    Attributes:
        span: The span; None once it ended.
        ids: Its trace and span id.
        owner: The report that opened it and whose end ends it; None once it ended.
        shown: The innermost report that shares it: the span shows that one's usage, no other's.
            None once it ended.
        process: The observer's mark of the process that opened it: a forked child never ends it.
    """

    __slots__ = ("ids", "owner", "process", "shown", "span")

    def __init__(self, span: Span, *, owner: Report, process: object) -> None:
        self.span: Span | None = span
        self.ids: SpanContext = span.get_span_context()
        self.owner: Report | None = owner
        self.shown: Report | None = owner
        self.process = process

    @property
    def unsettled(self) -> bool:
        """Whether the books have not decided yet about the report whose usage it shows."""
        shown = self.shown
        return shown is not None and (shown.open or shown.held)

    @property
    def parent(self) -> Span:
        """A span for what is to stand below this one, also after its end."""
        return self.span or NonRecordingSpan(self.ids)


def span_context_of(report: Report) -> SpanContext | None:
    """The ids of the span that shows a report, or None. Unsampled ones are nobody's exemplar."""
    shown = report.span
    return shown.ids if isinstance(shown, CallSpan) else None
