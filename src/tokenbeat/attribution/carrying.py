"""How a scope travels: inside the OpenTelemetry context.

asyncio carries that context into tasks, ``asyncio.to_thread`` and second event loops by itself, and
``opentelemetry-instrumentation-threading`` into bare threads, timers, pools and
``run_in_executor``. What was carried can outlive what it speaks of, and callbacks cannot always
take back what they set (LangChain ends asynchronous runs in a task of its own). So nothing that is
found in a context is believed without asking whether it still holds, and nothing is taken back by
``ContextVar.reset``, which fails in another context than the one it was set in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span, set_span_in_context

from tokenbeat.attribution.lent_span import LentSpan
from tokenbeat.attribution.scope import current_lane

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tokenbeat.attribution.scope import Scope

# Made once for each process, as the API asks; every reader of it is in this file.
_KEY: Final = otel_context.create_key("tokenbeat-scope")


def enter(scope: Scope) -> None:
    """Makes ``scope``, and its span if it has one, the current one of this context."""
    former = otel_context.get_current()
    values = former.copy()
    values[_KEY] = scope
    attached = otel_context.Context(values)
    span = _span_for(scope, former)
    if span is not None:
        attached = set_span_in_context(LentSpan(scope, span, get_current_span(former)), attached)
    scope.former = former
    scope.attached = attached
    scope.lane = current_lane()
    otel_context.attach(attached)


def leave(scope: Scope) -> None:
    """Makes the former context current again, where the scope's own still is.

    Elsewhere (another task ends the work, somebody else's context lies above it) nothing is
    touched: the closed scope stays where it is and no longer counts.
    """
    attached, former = scope.attached, scope.former
    scope.attached = scope.former = None
    if attached is not None and former is not None and otel_context.get_current() is attached:
        otel_context.attach(former)


def current_scope() -> Scope | None:
    """The scope that this context was carried from, if it still counts.

    An open scope counts. A closed one counts only where it was carried into a task or thread of its
    own (work left behind by a tool, say) and its root is still open; in the lane that entered it,
    it is over. Otherwise the scope around it is asked.
    """
    scope = cast("Scope | None", otel_context.get_current().get(_KEY))
    if scope is None or scope.open:
        return scope
    lane = current_lane()
    while scope is not None and not scope.open:
        if scope.kind != "call" and scope.root.open and scope.lane != lane:
            return scope
        scope = scope.parent
    return scope


def _span_for(scope: Scope, former: otel_context.Context) -> Span | None:
    """The span to make current: the scope's own, or the nearest one that got lost on the way."""
    if scope.span is not None:
        return cast("Span", scope.span)
    parent = scope.parent
    if parent is None or former.get(_KEY) is parent:
        return None
    while parent is not None:
        if parent.span is not None and parent.open:
            return cast("Span", parent.span)
        parent = parent.parent
    return None
