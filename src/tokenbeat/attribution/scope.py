"""A scope: one stretch of work with a name, and the path of those that lead to it."""

from __future__ import annotations

import threading
from asyncio import current_task
from asyncio.events import (
    _get_running_loop,  # pyright: ignore[reportPrivateUsage]  # the public one raises: 20 times slower
)
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from asyncio import Task

    from opentelemetry.context import Context

    from tokenbeat.attribution.siblings import Siblings
    from tokenbeat.ledger.report import CallToken, RunRef
    from tokenbeat.usage.caller import Caller

ScopeKind = Literal[
    "run",
    "lead_agent",
    "subagent",
    "workflow",
    "middleware",
    "tool",
    "node",
    "chain",
    "helper",
    "remote",
    "call",
]
"""What a scope is. ``run`` and ``workflow`` may add no step to the path; ``call`` never does."""


def current_task_or_none() -> Task[Any] | None:
    """The asyncio task that runs now, or None outside of any."""
    loop = _get_running_loop()
    return None if loop is None else current_task(loop)


def current_lane() -> int:
    """Names the asyncio task that runs now, or the thread where there is none.

    What was started in a lane is over once a later piece of that lane runs *around* it: the stack
    between them has been unwound.
    """
    task = current_task_or_none()
    return threading.get_ident() if task is None else id(task)


class Scope:
    """One stretch of work that calls are attributed to. Made by `opening.open_scope`.

    Attributes:
        kind: What it is.
        name: Its name as the framework or the user gave it.
        parent: The scope around it, or None.
        root: The outermost scope of the same task: a carried scope counts while its root is open.
            A scope that a framework started on its own (no parent of the framework's) is a root,
            also where it was carried into.
        caller: The path that calls made in it get.
        run: The run that they belong to, or None.
        agent: ``gen_ai.agent.name`` of such calls, or None.
        open: Not closed yet.
        thread_id: The conversation, or None.
        tool_call_id: The model's id of the tool call, or None.
        started_ns: Wall time of its start, ns since 1970.
        token: Of a ``call``: names the framework call for sources inside it.
        announced: Whether observers know of it. Scopes that only carry are not announced.
        origin: What opened it, the instrumentor's own; opaque here. A scope of the user's has its
            parent's.
        moment: Siblings of one name that start at the same moment of their parent (a step of its
            graph) are beside each other even if the first has ended.
        span: The telemetry observer's, made current together with the scope.
        tallies: The telemetry observer's own.
    """

    # Defaults stand on the class: a model call makes a scope and changes few of them.
    run: RunRef | None = None
    agent: str | None = None
    open: bool = True
    thread_id: str | None = None
    tool_call_id: str | None = None
    token: CallToken | None = None
    announced: bool = False
    origin: object | None = None
    moment: int | None = None
    span: object | None = None
    tallies: object | None = None
    lane: int = 0
    former: Context | None = None
    attached: Context | None = None
    siblings: Siblings | None = None
    numbered: tuple[Scope, str, int] | None = None

    def __init__(  # noqa: PLR0913 a scope has that many facts
        self,
        kind: ScopeKind,
        name: str,
        *,
        parent: Scope | None,
        caller: Caller,
        started_ns: int,
        is_root: bool = False,
        run: RunRef | None = None,
        agent: str | None = None,
        thread_id: str | None = None,
        tool_call_id: str | None = None,
        token: CallToken | None = None,
        origin: object | None = None,
        moment: int | None = None,
        span: object | None = None,
    ) -> None:
        self.kind: ScopeKind = kind
        self.name = name
        self.parent = parent
        self.root: Scope = self if is_root or parent is None else parent.root
        self.caller = caller
        self.run = run
        self.agent = agent
        self.thread_id = thread_id
        self.tool_call_id = tool_call_id
        self.started_ns = started_ns
        self.token = token
        self.origin = origin
        self.moment = moment
        self.span = span

    def inside(self, other: Scope) -> bool:
        """Whether ``other`` is one of the scopes around this one."""
        scope = self.parent
        while scope is not None:
            if scope is other:
                return True
            scope = scope.parent
        return False

    def __repr__(self) -> str:
        state = "open" if self.open else "closed"
        return f"Scope({self.kind} {self.name!r}, {self.caller.instance_path}, {state})"
