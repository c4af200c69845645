"""Scopes open here and close here, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.attribution.carrying import leave
from tokenbeat.attribution.observer import tell_closed, tell_opened
from tokenbeat.attribution.scope import Scope
from tokenbeat.attribution.siblings import release_number, take_number

if TYPE_CHECKING:
    from tokenbeat.attribution.scope import ScopeKind
    from tokenbeat.ledger.report import RunRef
    from tokenbeat.usage.caller import Caller, CallerStep

_AGENTS: Final = frozenset({"lead_agent", "subagent", "workflow"})


def open_scope(  # noqa: PLR0913 a scope has that many facts
    kind: ScopeKind,
    name: str,
    *,
    parent: Scope | None,
    base: Caller,
    steps: tuple[CallerStep, ...] = (),
    started_ns: int,
    is_root: bool = False,
    run: RunRef | None = None,
    agent: str | None = None,
    thread_id: str | None = None,
    tool_call_id: str | None = None,
    origin: object | None = None,
    moment: int | None = None,
    announced: bool = True,
) -> Scope:
    """Opens a scope and tells the observers. It is not current before `carrying.enter`.

    Args:
        kind: What it is.
        name: Its name.
        parent: The scope around it, or None.
        base: The path that it continues; not always its parent's (a sub-agent stands in the place
            of the tool that started it).
        steps: What it adds to the path. A sub-agent is numbered among its siblings.
        started_ns: Wall time of its start, ns since 1970.
        is_root: Whether it has a life of its own; see `Scope`.
        run: The run that it begins; else its parent's.
        agent: The agent that it is; else its parent's. An empty text for a nameless one.
        thread_id: The conversation, where it knows it; else its parent's.
        tool_call_id: The model's id of the tool call.
        origin: What opened it; else its parent's.
        moment: The step of its parent's graph, where there is one; else its parent's.
        announced: Whether observers are told.
    """
    if parent is not None:
        run = parent.run if run is None else run
        agent = parent.agent if agent is None else agent
        thread_id = parent.thread_id if thread_id is None else thread_id
        origin = parent.origin if origin is None else origin
        moment = parent.moment if moment is None else moment
    numbered = None
    caller = base
    for step in steps:
        if step.type == "subagent" and parent is not None:
            numbered = take_number(parent, f"{base.path}/{step}", moment=moment)
            caller = caller.child(step.type, step.name, instance=numbered[2])
        else:
            caller = caller.child(step.type, step.name)
    scope = Scope(
        kind, name, parent=parent, caller=caller, started_ns=started_ns, is_root=is_root, run=run,
        agent=agent or None, thread_id=thread_id, tool_call_id=tool_call_id, origin=origin,
        # The step of its own graph counts for what an agent starts, not the step it was started in.
        moment=None if kind in _AGENTS else moment,
    )  # fmt: skip
    scope.numbered = numbered
    if announced:
        scope.announced = True
        tell_opened(scope)
    return scope


def close_scope(scope: Scope, *, error_type: str | None = None) -> None:
    """Closes a scope, makes the one before it current again and tells the observers.

    A closed scope is left alone: two signals may tell the same end.
    """
    if not scope.open:
        return
    scope.open = False
    leave(scope)
    if scope.numbered is not None:
        release_number(scope.numbered)
        scope.numbered = None
    if scope.announced:
        tell_closed(scope, error_type=error_type)
