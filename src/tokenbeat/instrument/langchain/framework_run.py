"""A chain, graph, node or tool that LangChain runs, and the table of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from asyncio import Task

    from tokenbeat.attribution import Scope
    from tokenbeat.instrument.langchain.open_call import OpenCall
    from tokenbeat.ledger.books import Ledger
    from tokenbeat.ledger.report import Report, RunRef

FrameworkRunKind = Literal["graph", "node", "tool", "chain"]

MOST_ENDED: Final = 2_048
"""Ended runs that are remembered: a task that outlives its node names that node as its parent."""
MOST_OPEN: Final = 50_000
"""Open runs that are remembered; one that never ends must not fill the memory."""


class FrameworkRun:
    """One chain, graph, node or tool run. Its scope is its own or that of the run around it.

    Attributes:
        key: ``run_id.int``: the UUID itself would keep the run from being found orphaned.
        kind: What it is. Retrievers are chains here.
        name: The run's name.
        parent: The run around it, or None.
        scope: The scope that calls in it are attributed to, or None.
        owns_scope: Whether that scope ends with it.
        node: The nearest node without a graph or tool between, itself included.
        graph: The nearest graph, itself included.
        inside: The model call that it runs in, or None.
        labels: Caller tags on it, inherited ones included: children mostly have them, too.
        lane: Where it started; see `attribution.scope.current_lane`.
        task: The asyncio task where it started, or None.
        below: Runs and calls in it that have not ended, by key.
        open: Not ended yet.
        agent_name: LangChain's own name of the agent that it belongs to, or None.
        is_agent: Whether ``create_agent`` made the graph that it belongs to, as far as is known.
        interrupted: Whether a node in it stopped to wait for a person.
        run: The run that it opened in the books, or None.
        ledger: The books where it did.
    """

    __slots__ = (
        "agent_name", "below", "graph", "inside", "interrupted", "is_agent", "key", "kind",
        "labels", "lane", "ledger", "name", "node", "open", "owns_scope", "parent", "run", "scope",
        "task",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 what is known at its start
        self,
        key: int,
        kind: FrameworkRunKind,
        name: str,
        *,
        parent: FrameworkRun | None,
        lane: int,
        task: Task[Any] | None,
    ) -> None:
        self.key = key
        self.kind: FrameworkRunKind = kind
        self.name = name
        self.parent = parent
        self.lane = lane
        self.task = task
        self.open = True
        self.below: dict[int, FrameworkRun | OpenCall] = {}
        self.scope: Scope | None = None
        self.owns_scope = False
        self.labels: tuple[str, ...] = ()
        self.interrupted = False
        self.run: RunRef | None = None
        self.ledger: Ledger | None = None
        self.node: FrameworkRun | None = None
        self.graph: FrameworkRun | None = None
        self.inside: Report | None = None
        self.agent_name: str | None = None
        self.is_agent = False
        if parent is not None:
            self.inside = parent.inside
            self.graph = parent.graph
            self.agent_name = parent.agent_name
            self.is_agent = parent.is_agent
            if kind == "chain":
                self.node = parent.node
        if kind == "node":
            self.node = self
        elif kind == "graph":
            self.graph = self


class FrameworkRuns:
    """Open runs by key, and those that ended lately."""

    def __init__(self) -> None:
        self.open: dict[int, FrameworkRun] = {}
        self._ended: dict[int, FrameworkRun] = {}
        self._order: deque[FrameworkRun] = deque()

    def find(self, key: int) -> FrameworkRun | None:
        """The run of this key, open or ended lately."""
        return self.open.get(key) or self._ended.get(key)

    def add(self, run: FrameworkRun) -> None:
        """Takes a run in that has started."""
        if len(self.open) >= MOST_OPEN:
            self.end(next(iter(self.open.values())))
        self.open[run.key] = run
        parent = run.parent
        if parent is not None and parent.open:
            parent.below[run.key] = run

    def end(self, run: FrameworkRun) -> None:
        """A run has ended: it is only remembered as a parent."""
        run.open = False
        run.task = None
        self.open.pop(run.key, None)
        if run.parent is not None:
            run.parent.below.pop(run.key, None)
        self._ended[run.key] = run
        self._order.append(run)
        if len(self._order) > MOST_ENDED:
            oldest = self._order.popleft()
            if self._ended.get(oldest.key) is oldest:
                del self._ended[oldest.key]
