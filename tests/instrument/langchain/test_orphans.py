"""Calls whose end LangChain never tells are found and entered."""

# ruff: noqa: ARG002 LangChain decides what it passes
# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.ledger.books import Ledger

Totals = Any
Model = Any


class KeepsEverything(BaseCallbackHandler):
    """A tracer that lives long: no run that it saw is ever dropped."""

    run_inline = True

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.kept.append(kwargs["run_id"])

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.kept.append(kwargs["run_id"])


class HangingModel(BaseChatModel):
    """Says that it was asked, and answers only when it is let."""

    asked: Any
    answers: Any

    @property
    def _llm_type(self) -> str:
        return "hanging"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.asked.set()
        assert self.answers.wait(5)
        return ChatResult(generations=[ChatGeneration(message=_answer())])

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.asked.set()
        await self.answers.wait()
        return ChatResult(generations=[ChatGeneration(message=_answer())])


def _answer() -> AIMessage:
    return AIMessage(
        "late", usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    )


@pytest.fixture
def hanging() -> HangingModel:
    return HangingModel(asked=asyncio.Event(), answers=asyncio.Event())


@pytest.fixture(params=["nothing else", "a tracer that keeps all runs"])
def callbacks(request: pytest.FixtureRequest) -> list[BaseCallbackHandler]:
    return [] if request.param == "nothing else" else [KeepsEverything()]


async def _soon(holds: Callable[[], bool]) -> bool:
    for turn in range(1_000):
        if holds():
            return True
        if turn % 50 == 5:
            gc.collect()  # what was cancelled may lie in a cycle; a test does not wait for its turn
        await asyncio.sleep(0.005)
    return holds()


async def test_a_cancelled_call_is_entered_as_cancelled(
    hanging: HangingModel, totals: Totals, callbacks: list[Any], tokenbeat_ledger: Ledger
) -> None:
    task = asyncio.create_task(hanging.ainvoke("hi", {"callbacks": callbacks}))
    await hanging.asked.wait()
    assert tokenbeat_ledger.snapshot().open == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})
    assert tokenbeat_ledger.snapshot().open == 0


async def test_a_call_that_took_too_long_is_entered_as_cancelled(
    hanging: HangingModel, totals: Totals
) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(hanging.ainvoke("hi"), 0.02)
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})


async def test_a_call_given_up_inside_of_a_long_task_is_entered(
    hanging: HangingModel, totals: Totals
) -> None:
    loop = asyncio.get_running_loop()
    task: Any = asyncio.current_task()
    loop.call_later(0.02, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await hanging.ainvoke("hi")
    if hasattr(task, "uncancel"):
        task.uncancel()
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})


async def test_each_call_of_a_cancelled_batch_is_entered(
    hanging: HangingModel, totals: Totals, callbacks: list[Any]
) -> None:
    task = asyncio.create_task(hanging.abatch(["a", "b", "c"], {"callbacks": callbacks}))
    await hanging.asked.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _soon(lambda: totals() == {"cancelled": 3, "items": 3})


async def test_the_calls_of_a_cancelled_graph_are_entered_and_its_run_is_cancelled(
    hanging: HangingModel, totals: Totals, callbacks: list[Any], tokenbeat_ledger: Ledger
) -> None:
    async def ask(state: MessagesState) -> Any:
        return {"messages": [await hanging.ainvoke("hi")]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile()
    task = asyncio.create_task(graph.ainvoke({"messages": []}, {"callbacks": callbacks}))
    await hanging.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "cancelled"


async def test_a_step_that_times_out_ends_its_calls_and_the_run(
    hanging: HangingModel, totals: Totals, callbacks: list[Any], tokenbeat_ledger: Ledger
) -> None:
    async def ask(state: MessagesState) -> Any:
        return {"messages": [await hanging.ainvoke("hi")]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile()
    graph.step_timeout = 0.02
    with pytest.raises(asyncio.TimeoutError):
        await graph.ainvoke({"messages": []}, {"callbacks": callbacks})
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})
    (run,) = tokenbeat_ledger.snapshot().runs
    assert run.status == "timeout"


def test_a_prompt_that_was_paid_beside_a_failed_one_is_entered(
    scripted: Model, said: Model, totals: Totals, until: Any
) -> None:
    model = scripted(said(100, 40), ValueError("no"))
    # `pytest.raises` would keep the traceback, and that the run; the scripted error keeps its own.
    with contextlib.suppress(ValueError):
        model.generate([[HumanMessage("good")], [HumanMessage("bad")]])
    gc.collect()
    assert until(lambda: totals() == {"abandoned": 1, "items": 1, "failed_attempts": 1})


def test_a_failed_sibling_is_found_by_the_chain_around_it(
    scripted: Model, said: Model, totals: Totals
) -> None:
    tracer = KeepsEverything()
    model = scripted(said(100, 40), ValueError("no"))
    chain = RunnableLambda(
        lambda _: model.generate([[HumanMessage("good")], [HumanMessage("bad")]])
    )
    with pytest.raises(ValueError, match="no"):
        chain.invoke("hi", {"callbacks": [tracer]})
    assert totals() == {"abandoned": 1, "items": 1, "failed_attempts": 1}


async def test_a_good_prompt_beside_a_failed_one_ends_by_itself(
    scripted: Model, said: Model, totals: Totals
) -> None:
    model = scripted(said(100, 40), ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await model.agenerate([[HumanMessage("good")], [HumanMessage("bad")]])
    await asyncio.sleep(0.05)
    assert (totals()["ok"], totals()["input_tokens"], totals()["failed_attempts"]) == (1, 100, 1)


async def test_work_that_outlives_its_chain_is_no_orphan(
    hanging: HangingModel, totals: Totals, spent: Any
) -> None:
    left: list[asyncio.Task[Any]] = []

    async def start(_: str) -> str:
        left.append(asyncio.create_task(hanging.ainvoke("hi")))
        await hanging.asked.wait()
        return "done"

    await RunnableLambda(start).ainvoke("x")
    assert totals() == {}
    hanging.answers.set()
    await left[0]
    assert (totals()["ok"], totals()["input_tokens"]) == (1, 10)
    assert spent() == {"chain:start": (1, 10, 5)}


def test_a_sibling_in_a_thread_of_its_own_ends_by_itself(totals: Totals) -> None:
    asked, answers = threading.Event(), threading.Event()
    model = HangingModel(asked=asked, answers=answers)
    threads: list[threading.Thread] = []

    def start(_: str) -> str:
        thread = threading.Thread(target=lambda: model.invoke("hi"))
        threads.append(thread)
        thread.start()
        assert asked.wait(5)
        msg = "the chain fails meanwhile"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="meanwhile"):
        RunnableLambda(start).invoke("x")
    assert "abandoned" not in totals()
    answers.set()
    threads[0].join()
    assert (totals()["ok"], totals()["input_tokens"]) == (1, 10)


async def test_a_loop_that_ends_with_a_pending_call_leaves_none_open(
    totals: Totals, until: Any, tokenbeat_ledger: Ledger
) -> None:
    def in_a_thread() -> None:
        async def main() -> None:
            model = HangingModel(asked=asyncio.Event(), answers=asyncio.Event())
            main.task = asyncio.create_task(model.ainvoke("hi"))  # type: ignore[attr-defined]
            await model.asked.wait()

        asyncio.run(main())

    await asyncio.to_thread(in_a_thread)
    assert until(lambda: totals() == {"cancelled": 1, "items": 1})
    assert tokenbeat_ledger.snapshot().open == 0
