"""Law: whatever agents run in whatever, each token is counted once, for the path to it."""

# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.graph import START, MessagesState, StateGraph

import tokenbeat
from tokenbeat.usage.counts import INPUT, finished

if TYPE_CHECKING:
    from tokenbeat.ledger.books import Ledger

EMPTY: Any = {"messages": []}


@dataclass
class Agent:
    """A graph with one node that asks models and runs other agents, each in some way."""

    name: str
    asks: list[int]
    below: list[tuple[str, Agent]] = field(default_factory=list["tuple[str, Agent]"])


ways = st.sampled_from(["direct", "thread", "own loop", "labelled", "all at once"])
names = st.sampled_from(["a", "b", "c"])
tokens = st.lists(st.integers(min_value=0, max_value=1_000), max_size=2)
leaves = st.builds(Agent, names, tokens)
trees = st.recursive(
    leaves,
    lambda below: st.builds(Agent, names, tokens, st.lists(st.tuples(ways, below), max_size=3)),
    max_leaves=6,
)


def expected(agent: Agent, path: str, told: dict[str, list[int]]) -> None:
    node = f"{path}/node:n"
    told[node] += agent.asks
    for way, each in agent.below:
        within = f"{node}/helper:label" if way == "labelled" else node
        expected(each, f"{within}/subagent:{each.name}", told)


def graph_of(agent: Agent, scripted: Any, said: Any) -> Any:
    model = scripted(*[said(count, 0) for count in agent.asks])
    inner = [(way, graph_of(each, scripted, said)) for way, each in agent.below]

    def work(state: Any) -> Any:
        del state
        for _ in agent.asks:
            model.invoke("hi")
        waiting: list[threading.Thread] = []
        for way, graph in inner:
            run_in(way, graph, waiting)
        for thread in waiting:
            thread.join()
        return EMPTY

    builder: Any = StateGraph(MessagesState)
    builder.add_node("n", work)
    builder.add_edge(START, "n")
    return builder.compile(name=agent.name)


def run_in(way: str, graph: Any, waiting: list[threading.Thread]) -> None:
    if way == "direct":
        graph.invoke(EMPTY)
    elif way == "labelled":
        with tokenbeat.caller("helper:label"):
            graph.invoke(EMPTY)
    elif way == "own loop":
        thread = threading.Thread(target=lambda: asyncio.run(graph.ainvoke(EMPTY)))
        thread.start()
        thread.join()
    else:
        thread = threading.Thread(target=lambda: graph.invoke(EMPTY))
        thread.start()
        if way == "thread":
            thread.join()
        else:
            waiting.append(thread)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees)
def test_each_token_is_counted_once_for_the_path_to_it(
    tokenbeat_ledger: Ledger, scripted: Any, said: Any, tree: Agent
) -> None:
    before = {cell.key.caller: cell.counts for cell in tokenbeat_ledger.snapshot().cells}
    runs_before = len(tokenbeat_ledger.snapshot().runs)
    graph_of(tree, scripted, said).invoke(EMPTY)

    told: dict[str, list[int]] = defaultdict(list)
    expected(tree, tree.name, told)
    snapshot = tokenbeat_ledger.snapshot()
    counted = {}
    for cell in snapshot.cells:
        earlier = before.get(cell.key.caller)
        calls = finished(cell.counts) - (finished(earlier) if earlier else 0)
        input_tokens = cell.counts[INPUT] - (earlier[INPUT] if earlier else 0)
        if calls:
            counted[cell.key.caller] = (calls, input_tokens)
    assert counted == {path: (len(asks), sum(asks)) for path, asks in told.items() if asks}
    assert snapshot.open == 0

    run = snapshot.runs[-1]
    assert len(snapshot.runs) == runs_before + 1
    assert run.status == "success"
    assert sum(cell.counts[INPUT] for cell in run.cells) == sum(map(sum, told.values()))
