"""``tokenbeat.caller``: the user says who calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.attribution.carrying import current_scope
from tokenbeat.attribution.ending import error_type
from tokenbeat.attribution.lexical import LexicalScope
from tokenbeat.attribution.opening import close_scope, open_scope
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.usage.caller import UNATTRIBUTED, parse_step

if TYPE_CHECKING:
    from tokenbeat.attribution.scope import Scope
    from tokenbeat.clock import Clock
    from tokenbeat.usage.caller import CallerStep

_AGENTS = frozenset({"lead_agent", "subagent"})


class _CallerScope(LexicalScope):
    def __init__(self, steps: tuple[CallerStep, ...], *, clock: Clock) -> None:
        super().__init__()
        self._steps = steps
        self._clock = clock

    def again(self) -> LexicalScope:
        """See `LexicalScope.again`."""
        return _CallerScope(self._steps, clock=self._clock)

    def opened(self) -> Scope:
        """See `LexicalScope.opened`."""
        parent = current_scope()
        if parent is not None and parent.kind == "call":
            parent = parent.parent
        last = self._steps[-1]
        return open_scope(
            last.type,
            last.name,
            parent=parent,
            base=UNATTRIBUTED if parent is None else parent.caller,
            steps=self._steps,
            agent=last.name if last.type in _AGENTS else None,
            started_ns=self._clock.wall_ns(),
        )

    def closed(self, scope: Scope, error: BaseException | None) -> None:
        """See `LexicalScope.closed`."""
        close_scope(scope, error_type=None if error is None else error_type(error))


def caller(path: str, *, clock: Clock = SYSTEM_CLOCK) -> LexicalScope:
    """Says who calls: every model call inside is attributed to ``path``, below what is around it.

    Args:
        path: One step such as ``subagent:researcher``, ``middleware:title``, ``tool:search``,
            ``node:plan``, ``chain:rag``, ``helper:grading`` or ``lead_agent``; a bare name is a
            ``helper``. Several steps with ``/`` between them.
        clock: Where start times come from.

    Returns:
        A context manager, and a decorator of functions, coroutine functions and generators.

    Raises:
        MalformedCaller: A step is empty or has no name.

    Example:
        ``with tokenbeat.caller("middleware:title"): model.invoke(…)`` inside of a lead agent counts
        the call for ``lead_agent/middleware:title``.
    """
    return _CallerScope(tuple(parse_step(step) for step in path.split("/")), clock=clock)
