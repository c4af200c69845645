"""A span that is current only as long as its scope is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import SpanContext
    from opentelemetry.trace.status import Status, StatusCode
    from opentelemetry.util.types import Attributes, AttributeValue

    from tokenbeat.attribution.scope import Scope


class LentSpan(Span):
    """Stands in the context for a scope's span, and for the span before it once that is over.

    LangChain tells the end of an asynchronous call in a task of its own, from where the caller's
    context cannot be changed back. Without this the application's next spans would become children
    of a model call that ended long ago.

    Args:
        scope: Whose span it is.
        span: The span.
        before: What was current before.
    """

    __slots__ = ("_before", "_scope", "_span")

    def __init__(self, scope: Scope, span: Span, before: Span) -> None:
        if before is not INVALID_SPAN:
            while isinstance(before, LentSpan) and not before.lent:
                before = before.before
        self._scope: Scope | None = scope
        self._span: Span | None = span
        self._before = before

    @property
    def lent(self) -> bool:
        """Whether the scope is still open."""
        return self._scope is not None and self._scope.open

    @property
    def before(self) -> Span:
        """What was current before."""
        return self._before

    @property
    def real(self) -> Span:
        """The span that is meant now."""
        scope, span = self._scope, self._span
        if scope is not None and span is not None:
            if scope.open:
                return span
            self._scope = self._span = None  # a context that is kept must not keep them
        before = self._before
        return before.real if isinstance(before, LentSpan) else before

    def get_span_context(self) -> SpanContext:
        """See ``Span.get_span_context``."""
        return self.real.get_span_context()

    def is_recording(self) -> bool:
        """See ``Span.is_recording``."""
        return self.real.is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """See ``Span.set_attribute``."""
        self.real.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """See ``Span.set_attributes``."""
        self.real.set_attributes(attributes)

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """See ``Span.add_event``."""
        self.real.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """See ``Span.add_link``."""
        self.real.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """See ``Span.update_name``."""
        self.real.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """See ``Span.set_status``."""
        self.real.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 the API's own signature
    ) -> None:
        """See ``Span.record_exception``."""
        self.real.record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """See ``Span.end``."""
        self.real.end(end_time)
