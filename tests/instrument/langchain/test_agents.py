"""Agents made with create_agent: the lead, its tools, and sub-agents wherever they run."""

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
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig  # noqa: TC002 the tool looks it up
from langchain_core.tools import tool

import tokenbeat
from tokenbeat.attribution import add_scope_observer, remove_scope_observer
from tokenbeat.usage.counts import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.attribution import Scope
    from tokenbeat.ledger.books import Ledger

Model = Any
Spent = Any
QUESTION: Any = {"messages": [("user", "hi")]}


@pytest.fixture
def lead(scripted: Model, said: Model) -> Any:
    """A lead agent that calls these tools at once, then ends: 100 and 1, then 200 and 2."""

    def make(*tools: Any, calls: list[str] | None = None, name: str | None = "lead_agent") -> Any:
        names = calls if calls is not None else [each.name for each in tools]
        asks = [
            {"name": each, "args": {"q": "x"}, "id": f"call_{n}"} for n, each in enumerate(names)
        ]
        first = said(100, 1, "", tool_calls=asks)
        return create_agent(scripted(first, said(200, 2), model="big"), list(tools), name=name)

    return make


@pytest.fixture
def researcher(scripted: Model, said: Model) -> Any:
    """A sub-agent whose calls use 10 and 5 each."""

    def make(*input_tokens: int, name: str | None = "researcher") -> Any:
        answers = [said(count, 5) for count in input_tokens or (10,)]
        return create_agent(scripted(*answers, model="small"), [], name=name)

    return make


LEAD = {"lead_agent": (2, 300, 3)}


def test_the_leads_own_calls_are_the_leads(
    lead: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    lead().invoke(QUESTION)
    assert spent() == {"lead_agent": (1, 100, 1)}
    (cell,) = tokenbeat_ledger.snapshot().cells
    assert cell.key.agent == "lead_agent"


def test_a_nameless_agent_is_just_an_agent(
    lead: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    lead(name=None).invoke(QUESTION)
    assert spent() == {"agent": (1, 100, 1)}
    (cell,) = tokenbeat_ledger.snapshot().cells
    assert cell.key.agent is None


def test_a_tool_that_asks_a_model(lead: Any, scripted: Model, said: Model, spent: Spent) -> None:
    model = scripted(said(10, 5))

    @tool
    def mtool(q: str) -> str:
        """Asks."""
        return str(model.invoke(q).content)

    lead(mtool).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/tool:mtool": (1, 10, 5)}


def test_a_subagent_in_a_tool(lead: Any, researcher: Any, spent: Spent) -> None:
    sub = researcher()

    @tool
    def ask(q: str) -> str:
        """Asks."""
        return str(sub.invoke(QUESTION)["messages"][-1].content)

    lead(ask).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (1, 10, 5)}


async def test_a_subagent_in_an_asynchronous_tool(lead: Any, researcher: Any, spent: Spent) -> None:
    sub = researcher(10, 20)

    @tool
    async def ask(q: str) -> str:
        """Asks."""
        await sub.ainvoke(QUESTION)
        await asyncio.create_task(sub.ainvoke(QUESTION))
        return "done"

    await lead(ask).ainvoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (2, 30, 10)}


@pytest.mark.parametrize("how", ["thread", "own loop in a thread", "asyncio.run", "batch"])
def test_a_subagent_away_from_its_tool(
    how: str, lead: Any, researcher: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    sub = researcher()

    @tool
    def ask(q: str) -> str:
        """Asks."""
        if how == "batch":
            sub.batch([QUESTION])
        elif how == "asyncio.run":
            asyncio.run(sub.ainvoke(QUESTION))
        else:
            runs = {
                "thread": lambda: sub.invoke(QUESTION),
                "own loop in a thread": lambda: asyncio.run(sub.ainvoke(QUESTION)),
            }
            thread = threading.Thread(target=runs[how])
            thread.start()
            thread.join()
        return "done"

    lead(ask).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (1, 10, 5)}
    (run,) = tokenbeat_ledger.snapshot().runs
    assert (run.root_agent, len(run.cells)) == ("lead_agent", 2)


def test_a_subagent_on_a_loop_that_lives_in_another_thread(
    lead: Any, researcher: Any, spent: Spent
) -> None:
    sub = researcher()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    @tool
    def ask(q: str) -> str:
        """Asks."""
        asyncio.run_coroutine_threadsafe(sub.ainvoke(QUESTION), loop).result()
        return "done"

    try:
        lead(ask).invoke(QUESTION)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (1, 10, 5)}


def test_a_subagent_that_is_given_the_tools_configuration(
    lead: Any, researcher: Any, spent: Spent
) -> None:
    sub = researcher()

    @tool
    def ask(q: str, config: RunnableConfig) -> str:
        """Asks."""
        sub.invoke(QUESTION, config)
        return "done"

    lead(ask).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (1, 10, 5)}


def test_a_nameless_subagent_is_named_by_its_tool(
    lead: Any, researcher: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    sub = researcher(name=None)

    @tool
    def askn(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    lead(askn).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:tool:askn": (1, 10, 5)}
    agents = {cell.key.caller: cell.key.agent for cell in tokenbeat_ledger.snapshot().cells}
    assert agents["lead_agent/subagent:tool:askn"] is None


def test_a_subagent_with_a_thread_of_its_own(lead: Any, researcher: Any, spent: Spent) -> None:
    sub = researcher()

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION, {"configurable": {"thread_id": "other"}})
        return "done"

    lead(ask).invoke(QUESTION, {"configurable": {"thread_id": "t"}})
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (1, 10, 5)}


def test_a_subagent_of_a_subagent(lead: Any, scripted: Model, said: Model, spent: Spent) -> None:
    reader = create_agent(scripted(said(10, 5)), [], name="reader")

    @tool
    def read(q: str) -> str:
        """Reads."""
        reader.invoke(QUESTION)
        return "done"

    asks = [{"name": "read", "args": {"q": "x"}, "id": "c"}]
    sub = create_agent(
        scripted(said(20, 1, "", tool_calls=asks), said(30, 1)), [read], name="researcher"
    )

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    lead(ask).invoke(QUESTION)
    assert spent() == {
        **LEAD,
        "lead_agent/subagent:researcher": (2, 50, 2),
        "lead_agent/subagent:researcher/subagent:reader": (1, 10, 5),
    }


def test_parallel_subagents_of_one_name_are_two_instances_of_one_caller(
    lead: Any, researcher: Any, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    sub = researcher(120, 240)

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    lead(ask, calls=["ask", "ask"]).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (2, 360, 10)}
    (run,) = tokenbeat_ledger.snapshot().runs
    instances = {
        cell.key.caller: cell.counts[INPUT] for cell in run.cells if "researcher" in cell.key.caller
    }
    assert set(instances) == {
        "lead_agent/subagent:researcher", "lead_agent/subagent:researcher#2"
    }  # fmt: skip
    assert sorted(instances.values()) == [120, 240]


def test_a_subagent_called_again_in_a_later_step_is_the_same_instance(
    researcher: Any, scripted: Model, said: Model, tokenbeat_ledger: Ledger
) -> None:
    sub = researcher(10, 20)

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    answers = [
        said(1, 1, "", tool_calls=[{"name": "ask", "args": {"q": "x"}, "id": f"c{n}"}])
        for n in range(2)
    ]
    create_agent(scripted(*answers, said(1, 1)), [ask], name="lead").invoke(QUESTION)
    (run,) = tokenbeat_ledger.snapshot().runs
    assert {cell.key.caller for cell in run.cells} == {"lead", "lead/subagent:researcher"}


def test_a_subagent_still_running_when_its_lead_has_ended_counts_late(
    lead: Any, scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    go, started = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @tool
    def slow(q: str) -> str:
        """Waits."""
        started.set()
        assert go.wait(5)
        return "done"

    asks = [{"name": "slow", "args": {"q": "x"}, "id": "c"}]
    sub = create_agent(
        scripted(said(100, 0, "", tool_calls=asks), said(80, 0)), [slow], name="researcher"
    )

    @tool
    def ask(q: str) -> str:
        """Asks, and does not wait."""
        threads.append(threading.Thread(target=lambda: sub.invoke(QUESTION)))
        threads[0].start()
        assert started.wait(5)
        return "started"

    lead(ask).invoke(QUESTION)
    assert spent()["lead_agent/subagent:researcher"] == (1, 100, 0)
    go.set()
    threads[0].join()
    assert spent() == {**LEAD, "lead_agent/subagent:researcher": (2, 180, 0)}
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "success"
    assert run.late


class Opened:
    """Keeps the scopes that were opened, and what closed."""

    def __init__(self) -> None:
        self.opened: list[Scope] = []
        self.closed: list[tuple[str, str | None]] = []

    def scope_opened(self, scope: Scope) -> None:
        self.opened.append(scope)

    def scope_closed(self, scope: Scope, *, error_type: str | None) -> None:
        self.closed.append((scope.name, error_type))


@pytest.fixture
def scopes() -> Iterator[Opened]:
    observer = Opened()
    add_scope_observer(observer)
    yield observer
    remove_scope_observer(observer)


def test_observers_see_agents_and_tools_and_no_inner_workings(
    lead: Any, researcher: Any, scopes: Opened, tokenbeat_ledger: Ledger
) -> None:
    sub = researcher()

    @tool
    def ask(q: str) -> str:
        """Asks."""
        sub.invoke(QUESTION)
        return "done"

    lead(ask).invoke(QUESTION, {"configurable": {"thread_id": "t"}})
    assert [(scope.kind, scope.name) for scope in scopes.opened] == [
        ("lead_agent", "lead_agent"), ("tool", "ask"), ("subagent", "researcher"),
    ]  # fmt: skip
    lead_scope, tool_scope, sub_scope = scopes.opened
    assert sub_scope.parent is not None
    assert sub_scope.inside(tool_scope)
    assert tool_scope.inside(lead_scope)
    assert [scope.thread_id for scope in scopes.opened] == ["t", "t", "t"]
    assert scopes.closed == [("researcher", None), ("ask", None), ("lead_agent", None)]


async def test_a_tool_whose_task_is_cancelled_is_closed_with_its_agent(
    lead: Any, scopes: Opened, tokenbeat_ledger: Ledger
) -> None:
    started = asyncio.Event()

    @tool
    async def hang(q: str) -> str:
        """Hangs."""
        started.set()
        await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(lead(hang).ainvoke(QUESTION))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scopes.closed == [
        ("hang", "asyncio.exceptions.CancelledError"),
        ("lead_agent", "asyncio.exceptions.CancelledError"),
    ]
    assert not any(scope.open for scope in scopes.opened)


def test_twenty_agents_in_twenty_threads_keep_their_calls_apart(
    scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    def one(number: int) -> None:
        sub = create_agent(scripted(said(number, 1)), [], name=f"sub{number}")

        @tool
        def ask(q: str) -> str:
            """Asks."""
            thread = threading.Thread(target=lambda: sub.invoke(QUESTION))
            thread.start()
            thread.join()
            return "done"

        asks = [{"name": "ask", "args": {"q": "x"}, "id": "c"}]
        model = scripted(said(100, 1, "", tool_calls=asks), said(200, 2))
        create_agent(model, [ask], name=f"lead{number}").invoke(QUESTION)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = spent()
    assert len(told) == 40
    for number in range(1, 21):
        assert told[f"lead{number}"] == (2, 300, 3)
        assert told[f"lead{number}/subagent:sub{number}"] == (1, number, 1)
    assert len(tokenbeat_ledger.snapshot().runs) == 20


def test_a_label_in_a_tool_stands_below_it(
    lead: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(AIMessage("?"), said(10, 5))

    @tool
    def ask(q: str) -> str:
        """Asks."""
        with tokenbeat.caller("helper:grading"):
            model.invoke(q)
            model.invoke(q)
        return "done"

    lead(ask).invoke(QUESTION)
    assert spent() == {**LEAD, "lead_agent/tool:ask/helper:grading": (2, 10, 5)}
