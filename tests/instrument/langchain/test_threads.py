"""Who calls on threads, executors, loops and tasks of a node's own."""


# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

if TYPE_CHECKING:
    from tokenbeat.ledger.books import Ledger

Model = Any
Spent = Any


EMPTY: Any = {"messages": []}


@pytest.mark.parametrize("how", ["thread", "pool", "timer", "own loop"])
def test_a_call_in_a_thread_of_its_own_is_the_nodes(  # noqa: PLR0913, PLR0917 fixtures
    graph_of: Any, how: str, scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    model = scripted(said(10, 5))

    def work() -> None:
        model.invoke("hi")

    def node(state: Any) -> Any:
        if how == "pool":
            with ThreadPoolExecutor() as pool:
                pool.submit(work).result()
            return EMPTY
        if how == "own loop":

            def work_in_loop() -> None:
                asyncio.run(model.ainvoke("hi"))

            thread = threading.Thread(target=work_in_loop)
        elif how == "timer":
            thread = threading.Timer(0, work)
        else:
            thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return EMPTY

    graph_of("lead", n=node).invoke(EMPTY)
    assert spent() == {"lead/node:n": (1, 10, 5)}
    (run,) = tokenbeat_ledger.snapshot().runs
    assert len(run.cells) == 1


async def test_a_call_in_an_executor_of_an_awaited_graph_is_the_nodes(
    graph_of: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(10, 5), said(20, 6))

    async def node(state: Any) -> Any:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: model.invoke("hi"))
        await asyncio.to_thread(model.invoke, "hi")
        return EMPTY

    await graph_of("lead", n=node).ainvoke(EMPTY)
    assert spent() == {"lead/node:n": (2, 30, 11)}


def test_an_agent_started_in_a_bare_thread_is_a_subagent(
    graph_of: Any, asking: Any, spent: Spent
) -> None:
    inner = graph_of("researcher", n=asking())

    @tool
    def ask(q: str) -> str:
        """Asks."""
        thread = threading.Thread(target=lambda: inner.invoke(EMPTY))
        thread.start()
        thread.join()
        return "done"

    def look(state: Any) -> Any:
        ask.invoke({"q": "x"})
        return EMPTY

    graph_of("lead", look=look).invoke(EMPTY)
    assert spent() == {"lead/node:look/subagent:researcher/node:n": (1, 10, 5)}


def test_what_a_thread_does_after_its_run_is_unattributed(
    graph_of: Any, scripted: Model, said: Model, spent: Spent
) -> None:
    model = scripted(said(10, 5))
    go = threading.Event()
    threads: list[threading.Thread] = []

    def late() -> None:
        assert go.wait(5)
        model.invoke("hi")

    def node(state: Any) -> Any:
        threads.append(threading.Thread(target=late))
        threads[0].start()
        return EMPTY

    graph_of("lead", n=node).invoke(EMPTY)
    go.set()
    threads[0].join()
    assert spent() == {"unattributed": (1, 10, 5)}


async def test_a_task_that_outlives_its_graph_is_still_its_callers(
    graph_of: Any, scripted: Model, said: Model, spent: Spent, tokenbeat_ledger: Ledger
) -> None:
    model = scripted(said(10, 5))
    go = asyncio.Event()
    left: list[asyncio.Task[Any]] = []

    async def late() -> None:
        await go.wait()
        await RunnableLambda(lambda _: model.invoke("hi")).ainvoke("x")

    async def node(state: Any) -> Any:
        left.append(asyncio.create_task(late()))
        return EMPTY

    await graph_of("lead", n=node).ainvoke(EMPTY)
    go.set()
    await left[0]
    if sys.version_info >= (3, 11):  # before, LangChain itself loses the parent across tasks
        assert spent() == {"lead/node:n": (1, 10, 5)}
        (run,) = tokenbeat_ledger.snapshot().runs
        assert run.status == "success"
        assert run.late
    else:
        assert sum(calls for calls, _, _ in spent().values()) == 1
