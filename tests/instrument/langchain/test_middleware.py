"""Model calls that middleware makes beside the agent's own."""

# ruff: noqa: ARG002, ARG005 LangChain decides what it passes
# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    SummarizationMiddleware,
    before_model,
    wrap_model_call,
    wrap_tool_call,
)
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

if TYPE_CHECKING:
    from tokenbeat.ledger.books import Ledger

Model = Any
Spent = Any
QUESTION: Any = {"messages": [("user", "hi")]}


@pytest.fixture
def agent(scripted: Model, said: Model) -> Any:
    """A lead agent with this middleware, whose own call uses 100 and 1."""

    def make(*middleware: Any, name: str | None = "lead_agent", tools: Any = ()) -> Any:
        answers = [said(100, 1) for _ in range(3)]
        if tools:
            asks = [{"name": tools[0].name, "args": {"q": "x"}, "id": "c"}]
            answers.insert(0, said(100, 1, "", tool_calls=asks))
        model = scripted(*answers, model="big")
        return create_agent(model, list(tools), middleware=list(middleware), name=name)

    return make


@pytest.fixture
def small(scripted: Model, said: Model) -> Any:
    """The model that middleware asks: 10 and 5 for each call."""
    return scripted(*[said(10, 5) for _ in range(8)], model="small")


LEAD = {"lead_agent": (1, 100, 1)}


def test_a_hook_that_asks_a_model(agent: Any, small: Any, spent: Spent) -> None:
    class Titles(AgentMiddleware):
        def before_model(self, state: Any, runtime: Any) -> Any:
            small.invoke("title?")

        def after_agent(self, state: Any, runtime: Any) -> Any:
            small.invoke("summary?")

    agent(Titles()).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:Titles": (2, 20, 10)}


async def test_an_asynchronous_hook_that_asks_a_model(agent: Any, small: Any, spent: Spent) -> None:
    class Titles(AgentMiddleware):
        async def abefore_model(self, state: Any, runtime: Any) -> Any:
            await small.ainvoke("title?")

    await agent(Titles()).ainvoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:Titles": (1, 10, 5)}


def test_a_decorated_hook_that_asks_a_model(agent: Any, small: Any, spent: Spent) -> None:
    @before_model
    def titles(state: Any, runtime: Any) -> Any:
        small.invoke("title?")

    agent(titles).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:titles": (1, 10, 5)}


class Judging(AgentMiddleware):
    """Asks another model before and after the agent's own call."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.model.invoke("before")
        answer = handler(request)
        self.model.invoke("after")
        return answer

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        await self.model.ainvoke("before")
        answer = await handler(request)
        await self.model.ainvoke("after")
        return answer


@pytest.mark.parametrize("name", ["lead_agent", None])
def test_calls_around_the_agents_own(
    agent: Any, small: Any, spent: Spent, name: str | None
) -> None:
    agent(Judging(small), name=name).invoke(QUESTION)
    lead = name or "agent"
    assert spent() == {lead: (1, 100, 1), f"{lead}/middleware:Judging": (2, 20, 10)}


async def test_awaited_calls_around_the_agents_own(agent: Any, small: Any, spent: Spent) -> None:
    await agent(Judging(small)).ainvoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:Judging": (2, 20, 10)}


def test_a_decorated_wrapper_that_asks_a_model(agent: Any, small: Any, spent: Spent) -> None:
    @wrap_model_call
    def judging(request: Any, handler: Any) -> Any:
        small.invoke("before")
        return handler(request)

    agent(judging).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:judging": (1, 10, 5)}


async def test_an_asynchronous_decorated_wrapper(agent: Any, small: Any, spent: Spent) -> None:
    @wrap_model_call
    async def judging(request: Any, handler: Any) -> Any:
        await small.ainvoke("before")
        return await handler(request)

    await agent(judging).ainvoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:judging": (1, 10, 5)}


def test_a_wrapper_that_only_asks_again_is_the_agent(
    scripted: Model, said: Model, spent: Spent
) -> None:
    class Again(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            try:
                return handler(request)
            except ValueError:
                return handler(request)

    model = scripted(ValueError("no"), said(100, 1))
    create_agent(model, [], middleware=[Again()], name="lead_agent").invoke(QUESTION)
    assert spent() == LEAD


def test_wrappers_inside_each_other(agent: Any, small: Any, spent: Spent) -> None:
    class Outer(Judging):
        pass

    agent(Outer(small), Judging(small)).invoke(QUESTION)
    assert spent() == {
        **LEAD,
        "lead_agent/middleware:Outer": (2, 20, 10),
        "lead_agent/middleware:Judging": (2, 20, 10),
    }


def test_a_wrapper_that_asks_in_a_thread_of_its_own(agent: Any, small: Any, spent: Spent) -> None:
    class Threaded(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            thread = threading.Thread(target=lambda: small.invoke("before"))
            thread.start()
            thread.join()
            return handler(request)

    agent(Threaded()).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:unknown": (1, 10, 5)}


async def test_a_wrapper_that_asks_in_a_task_of_its_own(
    agent: Any, small: Any, spent: Spent
) -> None:
    class Tasked(AgentMiddleware):
        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            await asyncio.create_task(small.ainvoke("before"))
            return await handler(request)

    await agent(Tasked()).ainvoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/middleware:unknown": (1, 10, 5)}


def test_a_summary_is_the_summarizers(agent: Any, small: Any, spent: Spent) -> None:
    middleware = SummarizationMiddleware(model=small, trigger=("messages", 2), keep=("messages", 1))
    agent(middleware).invoke({"messages": [("user", "a"), ("ai", "b"), ("user", "c")]})
    assert spent() == {**LEAD, "lead_agent/middleware:SummarizationMiddleware": (1, 10, 5)}


def test_a_call_beside_the_tools(agent: Any, small: Any, spent: Spent) -> None:
    @tool
    def look(q: str) -> str:
        """Looks."""
        return "seen"

    @wrap_tool_call
    def judging(request: Any, handler: Any) -> Any:
        small.invoke("before")
        return handler(request)

    agent(judging, tools=[look]).invoke(QUESTION)
    assert spent() == {
        "lead_agent": (2, 200, 2),
        "lead_agent/middleware:wrap_tool_call": (1, 10, 5),
    }


def test_a_model_inside_a_wrapped_tool_is_the_tools(agent: Any, small: Any, spent: Spent) -> None:
    @tool
    def look(q: str) -> str:
        """Looks."""
        small.invoke(q)
        return "seen"

    @wrap_tool_call
    def passing(request: Any, handler: Any) -> Any:
        return handler(request)

    agent(passing, tools=[look]).invoke(QUESTION)
    assert spent() == {"lead_agent": (2, 200, 2), "lead_agent/tool:look": (1, 10, 5)}


def test_nodes_of_ones_own_graph_with_an_agents_names_are_no_middleware(
    small: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    builder: Any = StateGraph(MessagesState)
    for node in ("model", "tools"):
        builder.add_node(node, lambda state: {"messages": [small.invoke("hi")]})
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    builder.compile(name="mine").invoke(QUESTION)
    assert spent() == {"mine": (2, 20, 10)}


def test_middleware_of_a_subagent_stands_below_it(
    agent: Any, small: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    sub = create_agent(scripted(said(20, 1)), [], middleware=[Judging(small)], name="research")

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    agent(tools=[ask]).invoke(QUESTION)
    assert spent() == {
        "lead_agent": (2, 200, 2),
        "lead_agent/subagent:research": (1, 20, 1),
        "lead_agent/subagent:research/middleware:Judging": (2, 20, 10),
    }
