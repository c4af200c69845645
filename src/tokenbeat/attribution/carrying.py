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

from opentelemetry.context import Context, attach, create_key, get_current
from opentelemetry.trace import INVALID_SPAN, get_current_span, set_span_in_context

from tokenbeat.attribution.lent_span import LentSpan
from tokenbeat.attribution.scope import current_lane

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tokenbeat.attribution.scope import Scope

# Made once for each process, as the API asks; every reader of it is in this file.
_KEY: Final = create_key("tokenbeat-scope")

_SPAN_KEY: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key of the current span, which the API does not name."""

_put: Final = dict[str, object].__setitem__
"""Puts something into a context that nobody has seen yet: the API would copy it once for each."""


def enter(scope: Scope, *, former: Context | None = None, lane: int | None = None) -> None:
    """Makes ``scope``, and its span if it has one, the current one of this context.

    Args:
        scope: What begins.
        former: The current context, if the caller has asked for it already.
        lane: The current lane likewise.
    """
    if former is None:
        former = get_current()
    attached = Context(former)
    _put(attached, _KEY, scope)
    span = scope.span
    if span is None and scope.parent is not None:
        span = _lost_span(scope.parent, former)
    if span is not None:
        before = get_current_span(former) if former else INVALID_SPAN
        _put(attached, _SPAN_KEY, LentSpan(scope, cast("Span", span), before))
    scope.former = former
    scope.attached = attached
    scope.lane = current_lane() if lane is None else lane
    attach(attached)


def leave(scope: Scope) -> None:
    """Makes the former context current again, where the scope's own still is.

    Elsewhere (another task ends the work, somebody else's context lies above it) nothing is
    touched: the closed scope stays where it is and no longer counts.
    """
    attached, former = scope.attached, scope.former
    scope.attached = scope.former = None
    if attached is not None and former is not None and get_current() is attached:
        attach(former)


def current_scope() -> Scope | None:
    """The scope that this context was carried from, if it still counts.

    An open scope counts. A closed one counts only where it was carried into a task or thread of its
    own (work left behind by a tool, say) and its root is still open; in the lane that entered it,
    it is over. Otherwise the scope around it is asked.
    """
    return scope_in(get_current())


def scope_in(context: Context) -> Scope | None:
    """The same for a context that is the current one."""
    scope = cast("Scope | None", context.get(_KEY))
    if scope is None or scope.open:
        return scope
    lane = current_lane()
    while scope is not None and not scope.open:
        if scope.kind != "call" and scope.root.open and scope.lane != lane:
            return scope
        scope = scope.parent
    return scope


def _lost_span(parent: Scope, former: Context) -> object | None:
    """The span of a scope without its own: the nearest one that got lost on the way."""
    if former.get(_KEY) is parent:
        return None
    nearest: Scope | None = parent
    while nearest is not None:
        if nearest.span is not None and nearest.open:
            return nearest.span
        nearest = nearest.parent
    return None
