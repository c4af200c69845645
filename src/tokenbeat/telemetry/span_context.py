"""Where a span belongs, and whether somebody wants it not to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  # has no public name
    get_current,
)
from opentelemetry.trace import set_span_in_context

from tokenbeat.attribution.carrying import scope_in

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from tokenbeat.attribution import Scope

_SUPPRESS_PLAIN_KEY: Final = "suppress_instrumentation"
"""The same wish as said with the API alone."""

_INFERENCE_KEY: Final = "opentelemetry.genai.client.inference.context"
"""Set by opentelemetry-util-genai around a model call that it makes a span for."""


def suppressed(context: Context) -> bool:
    """Whether no span of any kind is wanted. It never touches a count."""
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_PLAIN_KEY))


def inference_shown(context: Context) -> bool:
    """Whether another instrumentation shows this model call already, or no span is wanted."""
    return bool(context) and (_INFERENCE_KEY in context or suppressed(context))


def parent_context(scope: Scope | None, context: Context | None = None) -> Context:
    """The context that a span of something made in ``scope`` is started in.

    It is the current one where that is of this scope: a span that the application opened inside an
    agent stays between the agent and its call. Where the context is another's (a callback from
    another thread) the nearest enclosing scope that has a span decides.

    Args:
        scope: Where it is made, or None.
        context: The current context, if the caller has asked for it already.
    """
    if context is None:
        context = get_current()
    if scope is None or scope_in(context) is scope:
        return context
    nearest: Scope | None = scope
    while nearest is not None:
        span = nearest.span
        if span is not None:
            return set_span_in_context(cast("Span", span), context)
        nearest = nearest.parent
    return context
