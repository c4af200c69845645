"""Framework runs as they start and end: scopes, runs in the books, and where a call stands."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from tokenbeat.attribution import close_scope, enter, open_scope
from tokenbeat.attribution.ending import error_type, run_status
from tokenbeat.attribution.scope import current_task_or_none
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.instrument.langchain.framework_run import (
    FrameworkRun,
    FrameworkRunKind,
    FrameworkRuns,
)
from tokenbeat.instrument.langchain.naming import (
    Place,
    caller_labels,
    node_step,
    place_chain,
    place_graph,
    place_node,
    place_tool,
)
from tokenbeat.instrument.langchain.stack import chain_starter
from tokenbeat.ledger.process import books

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from tokenbeat.attribution import Scope
    from tokenbeat.clock import Clock
    from tokenbeat.instrument.langchain.open_call import OpenCall
    from tokenbeat.instrument.langchain.standing import Standing, Standings

_CREATE_AGENT = "langchain_create_agent"


class Road:
    """Follows chains, graphs, nodes and tools.

    Args:
        runs: Where they are kept.
        standings: Tells where a run stands.
        clock: Where start times come from.
    """

    def __init__(
        self, *, runs: FrameworkRuns, standings: Standings, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._runs = runs
        self._standings = standings
        self._clock = clock

    # Starts --------------------------------------------------------------------------------

    def chain_started(  # noqa: PLR0913 what LangChain tells
        self,
        name: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        depth: int,
    ) -> None:
        """A chain, graph or node starts; ``depth`` frames above is LangChain's manager."""
        key = run_id.int
        if key in self._runs.open:
            return  # one handler that stands in two places of a configuration
        parent, around, _ = standing = self._standings.of(parent_run_id)
        step = node_step(tags) if tags else None
        if step is not None:
            if parent is not None and parent.kind == "chain":
                # A graph after all, started elsewhere than in the versions known so far.
                parent.kind, parent.graph, parent.node = "graph", parent, None
            run = self._new(key, "node", name, standing=standing, tags=tags)
            place = place_node(around, name=name, labels=_fresh(run))
            self._open(run, place, around=around, moment=step, run_id=run_id, metadata=metadata)
            return
        starter = chain_starter(depth + 1)
        if starter.is_graph:
            run = self._new(key, "graph", name, standing=standing, tags=tags)
            place = self._place_graph(run, around, metadata=metadata)
            self._open(run, place, around=around, run_id=run_id, metadata=metadata, entered=False)
            return
        run = self._new(key, "chain", name, standing=standing, tags=tags)
        place = place_chain(around, name=name, labels=_fresh(run))
        self._open(
            run, place, around=around, run_id=run_id, metadata=metadata,
            entered=not starter.is_generator,
        )  # fmt: skip

    def tool_started(  # noqa: PLR0913 what LangChain tells
        self,
        name: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        tool_call_id: str | None,
    ) -> None:
        """A tool starts."""
        key = run_id.int
        if key in self._runs.open:
            return
        standing = self._standings.of(parent_run_id)
        run = self._new(key, "tool", name, standing=standing, tags=tags)
        self._open(
            run, place_tool(standing.scope, name=name), around=standing.scope, run_id=run_id,
            metadata=metadata, tool_call_id=tool_call_id,
        )  # fmt: skip

    def _new(
        self,
        key: int,
        kind: FrameworkRunKind,
        name: str,
        *,
        standing: Standing,
        tags: Sequence[str],
    ) -> FrameworkRun:
        parent = standing.parent
        task = current_task_or_none()
        lane = threading.get_ident() if task is None else id(task)
        run = FrameworkRun(key, kind, name, parent=parent, lane=lane, task=task)
        run.scope = standing.scope
        run.inside = standing.inside
        if tags:
            run.labels = caller_labels(tags)
        return run

    def _place_graph(
        self, run: FrameworkRun, around: Scope | None, *, metadata: Mapping[str, Any]
    ) -> Place:
        agent_name = metadata.get("lc_agent_name")
        agent_name = agent_name if agent_name and isinstance(agent_name, str) else None
        above = run.parent
        enclosing = None if above is None or above.graph is None else above.graph.agent_name
        run.agent_name = agent_name
        run.is_agent = agent_name is not None or metadata.get("ls_integration") == _CREATE_AGENT
        return place_graph(
            around,
            name=run.name,
            agent_name=agent_name,
            agent_around=enclosing,
            labels=_fresh(run),
            labelled_around=around is not None
            and not (isinstance(around.origin, FrameworkRun) and around.origin.scope is around),
        )

    def _open(  # noqa: PLR0913 a scope has that many facts
        self,
        run: FrameworkRun,
        place: Place,
        *,
        around: Scope | None,
        run_id: UUID,
        metadata: Mapping[str, Any],
        moment: int | None = None,
        tool_call_id: str | None = None,
        entered: bool = True,
    ) -> None:
        thread_id = metadata.get("thread_id") if metadata else None
        thread_id = None if thread_id is None else str(thread_id)
        if run.parent is None and (around is None or around.run is None):
            run.ledger = books()
            run.run = run.ledger.open_run(
                str(run_id),
                thread_id=thread_id,
                root_agent=place.agent or None,
            )
        kind = place.kind
        if kind is not None or run.kind == "node" or run.run is not None:
            # An inner node has a scope without a step of its own, so that threads carry where they
            # come from; observers do not hear of it.
            run.owns_scope = True
            run.scope = scope = open_scope(
                kind or ("node" if run.kind == "node" else "chain"),
                place.name,
                parent=around,
                base=place.base,
                steps=place.steps,
                started_ns=self._clock.wall_ns(),
                is_root=run.parent is None,
                run=run.run,
                agent=place.agent,
                thread_id=thread_id,
                tool_call_id=tool_call_id,
                origin=run,
                moment=moment,
                announced=kind is not None,
            )
            if entered:
                enter(scope)
        self._runs.add(run)

    # Ends ----------------------------------------------------------------------------------

    def ended(self, run_id: UUID, *, error: BaseException | None) -> list[OpenCall]:
        """A run ended.

        Returns:
            Calls in it that can no longer end by themselves: their stack is gone.
        """
        run = self._runs.open.get(run_id.int)
        if run is None:
            return []
        orphans: list[OpenCall] = []
        self._end(run, error=error, orphans=orphans)
        return orphans

    def _end(
        self, run: FrameworkRun, *, error: BaseException | None, orphans: list[OpenCall]
    ) -> None:
        interrupted = error is not None and _waits_for_a_person(error)
        self._runs.end(run)
        if run.below:
            for child in list(run.below.values()):
                if child.lane != run.lane and not (child.task is not None and child.task.done()):
                    continue  # it runs on: a thread or task that nobody waits for
                if isinstance(child, FrameworkRun):
                    self._end(child, error=error or asyncio.CancelledError(), orphans=orphans)
                else:
                    orphans.append(child)
        if interrupted:
            above: FrameworkRun | None = run
            while above is not None:
                above.interrupted = True
                above = above.parent
        if run.owns_scope and run.scope is not None:
            fault = None if error is None or interrupted else error_type(error)
            close_scope(run.scope, error_type=fault)
        if run.run is not None and run.ledger is not None:
            waits = run.interrupted and (error is None or interrupted)
            run.ledger.close_run(run.run, status="interrupted" if waits else run_status(error))

    def abandon_all(self) -> None:
        """Nothing will be heard of these any more: their scopes and runs end now."""
        for run in reversed(list(self._runs.open.values())):
            if run.open:
                self._end(run, error=GeneratorExit(), orphans=[])


def _fresh(run: FrameworkRun) -> tuple[str, ...]:
    """The caller tags on a run that it has not got from the one around it."""
    labels = run.labels
    if not labels or run.parent is None:
        return labels
    return tuple(label for label in labels if label not in run.parent.labels)


def _waits_for_a_person(error: BaseException) -> bool:
    return any(kind.__name__ == "GraphInterrupt" for kind in type(error).__mro__)
