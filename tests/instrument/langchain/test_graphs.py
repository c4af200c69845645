"""Who calls in graphs and chains, and which run it belongs to."""

# ruff: noqa: ARG005 LangChain decides what it passes
# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt

import tokenbeat
from tokenbeat.instrument.langchain import LangChainInstrumentor
from tokenbeat.settings import AgentSettings
from tokenbeat.usage.counts import INPUT

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from tokenbeat.ledger.books import Ledger

Model = Any
Spent = Any


EMPTY: Any = {"messages": []}


def test_a_bare_call_is_unattributed_and_in_no_run(
    scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    scripted(said(10, 5)).invoke("hi")
    assert spent() == {"unattributed": (1, 10, 5)}
    assert tokenbeat_ledger.snapshot().runs == ()
    assert tokenbeat_ledger.snapshot().books.unattributed == 1


def test_a_node_is_named_below_its_graph(graph_of: Any, asking: Any, spent: Spent) -> None:
    graph_of(plan=asking()).invoke(EMPTY)
    assert spent() == {"agent/node:plan": (1, 10, 5)}


async def test_a_node_of_an_awaited_graph_is_named(
    graph_of: Any, asking: Any, awaiting: Any, spent: Spent
) -> None:
    await graph_of(plan=asking(), act=awaiting(20, 6)).ainvoke(EMPTY)
    assert spent() == {"agent/node:plan": (1, 10, 5), "agent/node:act": (1, 20, 6)}


def test_a_named_graph_is_an_agent(
    graph_of: Any, asking: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    graph_of("planner", plan=asking()).invoke(EMPTY)
    assert spent() == {"planner/node:plan": (1, 10, 5)}
    (cell,) = tokenbeat_ledger.snapshot().cells
    assert cell.key.agent == "planner"


def test_a_run_name_renames_the_agent(graph_of: Any, asking: Any, spent: Spent) -> None:
    graph_of(plan=asking()).invoke(EMPTY, {"run_name": "weekly report"})
    (caller,) = spent()
    assert caller.startswith("weekly_report-")
    assert caller.endswith("/node:plan")


def test_a_subgraph_in_a_node_is_a_subagent(graph_of: Any, asking: Any, spent: Spent) -> None:
    inner = graph_of("subg", n=asking())
    outer = graph_of("lead", outer=lambda state: inner.invoke(state))  # noqa: PLW0108 LangGraph reads its signature
    outer.invoke(EMPTY)
    assert spent() == {"lead/node:outer/subagent:subg/node:n": (1, 10, 5)}


def test_a_subgraph_as_a_node_of_its_name_stands_once(
    graph_of: Any, asking: Any, spent: Spent
) -> None:
    inner = graph_of("alice", n=asking())
    graph_of("lead", alice=inner).invoke(EMPTY)
    assert spent() == {"lead/subagent:alice/node:n": (1, 10, 5)}


def test_a_nameless_subgraph_adds_no_step(graph_of: Any, asking: Any, spent: Spent) -> None:
    inner = graph_of(n=asking())
    graph_of("lead", outer=inner).invoke(EMPTY)
    assert spent() == {"lead/node:outer/node:n": (1, 10, 5)}


def test_a_fan_out_counts_for_the_one_node(
    scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    model = scripted(*[said(10, 5) for _ in range(3)])
    builder: Any = StateGraph(MessagesState)
    builder.add_node("w", lambda state: {"messages": [model.invoke("hi")]})
    builder.add_conditional_edges(START, lambda _: [Send("w", EMPTY) for _ in range(3)])
    builder.compile().invoke(EMPTY)
    assert spent() == {"agent/node:w": (3, 30, 15)}
    assert len(tokenbeat_ledger.snapshot().runs) == 1


def test_the_functional_interface_has_callers_too(asking: Any, spent: Spent) -> None:
    ask = asking()

    @task
    def look(state: Any) -> Any:
        return ask(state)["messages"]

    @entrypoint()
    def ep(state: Any) -> Any:
        return look(state).result()

    ep.invoke(EMPTY)
    (caller,) = spent()
    assert caller.endswith(("/node:ep", "/node:look"))
    assert spent()[caller] == (1, 10, 5)


def test_a_plain_chain_is_named_and_is_a_run(
    scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    chain = RunnableLambda(lambda text: text) | scripted(said(10, 5), said(20, 6))
    chain.invoke("hi")
    chain.invoke("hi", {"run_name": "rag"})
    assert spent() == {"chain:RunnableSequence": (1, 10, 5), "chain:rag": (1, 20, 6)}
    assert [run.status for run in tokenbeat_ledger.snapshot().runs] == ["success", "success"]


async def test_streamed_chains_are_runs_too(
    streaming: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    chain = RunnableLambda(lambda text: text) | streaming(said(10, 5), said(20, 6))
    assert list(chain.stream("hi"))
    assert [chunk async for chunk in chain.astream("hi")]
    assert spent() == {"chain:RunnableSequence": (2, 30, 11)}
    assert [run.status for run in tokenbeat_ledger.snapshot().runs] == ["success", "success"]


def test_the_consumer_of_a_streamed_chain_is_not_in_it(
    streaming: Model, scripted: Model, said: Model, spent: Spent
) -> None:
    chain = RunnableLambda(lambda text: text) | streaming(said(10, 5))
    other = scripted(*[said(100, 1) for _ in range(9)])
    for _ in chain.stream("hi"):
        other.invoke("meanwhile")
    assert spent()["chain:RunnableSequence"] == (1, 10, 5)
    assert spent()["unattributed"][0] >= 3


def test_the_consumer_of_a_streamed_graph_is_not_in_it(
    graph_of: Any, asking: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    other = scripted(*[said(100, 1) for _ in range(9)])
    for _ in graph_of("lead", a=asking(), b=asking()).stream(EMPTY):
        other.invoke("meanwhile")
    assert spent()["unattributed"] == (2, 200, 2)


def test_an_agent_in_a_chain_is_the_lead(graph_of: Any, asking: Any, spent: Spent) -> None:
    (RunnableLambda(lambda state: state) | graph_of("lead", n=asking())).invoke(EMPTY)
    assert spent() == {"lead/node:n": (1, 10, 5)}


def test_a_tool_that_asks_a_model_is_named(
    graph_of: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(10, 5), said(20, 6))

    @tool
    def search(q: str) -> str:
        """Searches."""
        return str(model.invoke(q).content)

    search.invoke({"q": "x"})
    graph_of("lead", look=lambda state: {"messages": [search.invoke({"q": "x"})]}).invoke(EMPTY)
    assert spent() == {"tool:search": (1, 10, 5), "lead/node:look/tool:search": (1, 20, 6)}


class Asking(BaseRetriever):
    """A retriever that asks a model first."""

    model: Any

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.model.invoke(query, {"callbacks": run_manager.get_child()})
        if query == "fail":
            msg = "no"
            raise ValueError(msg)
        return []


def test_a_retriever_that_asks_a_model_passes_its_place_on(
    graph_of: Any, scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    retriever = Asking(model=scripted(said(10, 5), said(20, 6), said(30, 7)))
    graph_of("lead", look=lambda state: {**EMPTY, "messages": retriever.invoke("x")}).invoke(EMPTY)
    retriever.invoke("y")
    with pytest.raises(ValueError, match="no"):
        retriever.invoke("fail")
    assert spent() == {"lead/node:look": (1, 10, 5), "chain:Asking": (2, 50, 13)}
    assert [run.status for run in tokenbeat_ledger.snapshot().runs] == [
        "success", "success", "error"
    ]  # fmt: skip


def test_a_tool_that_fails_ends_with_its_error(
    scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    model = scripted(said(10, 5))

    @tool
    def search(q: str) -> str:
        """Searches."""
        model.invoke(q)
        msg = "no"
        raise KeyError(msg)

    with pytest.raises(KeyError):
        search.invoke({"q": "x"})
    assert spent() == {"tool:search": (1, 10, 5)}
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "error"


def test_a_graph_that_runs_already_is_heard_from_then_on(
    graph_of: Any, asking: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    instrumentor = LangChainInstrumentor()
    instrumentor.uninstrument()
    graph = graph_of(
        "lead",
        first=lambda state: instrumentor.instrument(settings=AgentSettings.from_env({})) or EMPTY,
        second=asking(),
    )
    graph.invoke(EMPTY)
    assert sum(calls for calls, _, _ in spent().values()) == 1
    assert tokenbeat_ledger.snapshot().open == 0


def test_a_run_has_the_frameworks_id_and_thread(
    graph_of: Any, asking: Any, tokenbeat_ledger: Ledger
) -> None:
    run_id = uuid.uuid4()
    graph_of("lead", n=asking()).invoke(
        EMPTY, {"run_id": run_id, "configurable": {"thread_id": "t-1"}}
    )
    (run,) = tokenbeat_ledger.snapshot().runs
    assert (run.run_id, run.thread_id, run.root_agent) == (str(run_id), "t-1", "lead")
    assert run.status == "success"
    assert [cell.key.caller for cell in run.cells] == ["lead/node:n"]


def test_a_run_that_fails_is_in_error_and_keeps_its_calls(
    graph_of: Any, asking: Any, tokenbeat_ledger: Ledger
) -> None:
    def fail(state: Any) -> Any:
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"):
        graph_of("lead", n=asking(), bad=fail).invoke(EMPTY)
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "error"
    assert len(run.cells) == 1


def test_a_run_that_waits_for_a_person_is_interrupted(
    asking: Any, tokenbeat_ledger: Ledger
) -> None:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("ask", asking())
    builder.add_node("wait", lambda state: interrupt("may I?"))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "wait")
    graph = builder.compile(checkpointer=InMemorySaver())
    graph.invoke(EMPTY, {"configurable": {"thread_id": "t"}})
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "interrupted"


def test_a_stream_of_a_graph_that_is_left_is_abandoned(
    graph_of: Any, asking: Any, tokenbeat_ledger: Ledger
) -> None:
    stream = graph_of("lead", a=asking(), b=asking()).stream(EMPTY)
    next(iter(stream))
    stream.close()
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "abandoned"


def test_tags_say_who_calls(
    graph_of: Any, asking: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(1, 1), said(2, 2), said(3, 3)).with_config(tags=["middleware:title"])
    graph_of("lead", n=lambda state: {"messages": [model.invoke("hi")]}).invoke(EMPTY)
    assert spent() == {"lead/node:n/middleware:title": (1, 1, 1)}
    model.invoke("hi")
    assert spent()["middleware:title"] == (1, 2, 2)


def test_a_tagged_graph_is_who_the_tag_says(graph_of: Any, asking: Any, spent: Spent) -> None:
    graph_of(n=asking()).invoke(EMPTY, {"tags": ["subagent:research"]})
    graph_of(n=asking()).invoke(EMPTY, {"tags": ["lead_agent", "other"]})
    assert spent() == {
        "subagent:research/node:n": (1, 10, 5),
        "lead_agent/node:n": (1, 10, 5),
    }


def test_an_inherited_tag_is_one_step_and_a_later_one_another(
    graph_of: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(7, 1)).with_config(tags=["middleware:summarize"])
    inner = graph_of(n=lambda state: {"messages": [model.invoke("hi")]})
    outer = graph_of(
        "lead",
        go=lambda state: inner.with_config(tags=["subagent:research"]).invoke(EMPTY),
    )
    outer.invoke(EMPTY)
    assert spent() == {"lead/node:go/subagent:research/node:n/middleware:summarize": (1, 7, 1)}


def test_a_label_inside_of_a_node_stands_below_it(
    graph_of: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(10, 5), said(20, 6))

    def node(state: Any) -> Any:
        with tokenbeat.caller("middleware:title"):
            model.invoke("hi")
        model.invoke("hi")
        return EMPTY

    graph_of("lead", n=node).invoke(EMPTY)
    assert spent() == {"lead/node:n/middleware:title": (1, 10, 5), "lead/node:n": (1, 20, 6)}


def test_a_label_around_a_graph_of_its_name_stands_once(
    graph_of: Any, asking: Any, spent: Spent
) -> None:
    with tokenbeat.caller("subagent:researcher"):
        graph_of("researcher", n=asking()).invoke(EMPTY)
        graph_of(n=asking(20, 6)).invoke(EMPTY)
    assert spent() == {"subagent:researcher/node:n": (2, 30, 11)}


def test_an_explicit_run_takes_the_frameworks_runs_in(
    graph_of: Any, asking: Any, scripted: Model, said: Model, tokenbeat_ledger: Ledger
) -> None:
    with tokenbeat.run(run_id="r-1", thread_id="t-1", user="u", labels={"team": "a"}):
        graph_of("lead", n=asking()).invoke(EMPTY)
        scripted(said(1, 1)).invoke("hi")
    (run,) = tokenbeat_ledger.snapshot().runs
    assert (run.run_id, run.thread_id, run.user, run.labels) == ("r-1", "t-1", "u", {"team": "a"})
    assert sorted(cell.key.caller for cell in run.cells) == ["lead/node:n", "unattributed"]
    assert run.status == "success"


def test_equal_subagents_beside_each_other_are_numbered_in_the_run_alone(
    graph_of: Any, scripted: Model, said: Model, tokenbeat_ledger: Ledger, spent: Spent
) -> None:
    model = scripted(said(120, 0), said(240, 0))
    inner = graph_of("research", n=lambda state: {"messages": [model.invoke("hi")]})

    def both(state: Any) -> Any:
        inner.batch([EMPTY, EMPTY], {"max_concurrency": 1})
        return EMPTY

    graph_of("lead", go=both).invoke(EMPTY)
    assert spent() == {"lead/node:go/subagent:research/node:n": (2, 360, 0)}
    (run,) = tokenbeat_ledger.snapshot().runs
    assert {cell.key.caller: cell.counts[INPUT] for cell in run.cells} == {
        "lead/node:go/subagent:research/node:n": 120,
        "lead/node:go/subagent:research#2/node:n": 240,
    }
