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
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from tokenbeat.instrument.langchain.call_ends import CallEnds
from tokenbeat.instrument.langchain.framework_run import FrameworkRuns
from tokenbeat.instrument.langchain.metering import Meter
from tokenbeat.instrument.langchain.open_call import Calls
from tokenbeat.instrument.langchain.orphans import Orphans
from tokenbeat.instrument.langchain.standing import Standings

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

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


class HangingText(LLM):
    """A text-completion model that says that it was asked and never answers."""

    asked: Any

    @property
    def _llm_type(self) -> str:
        return "hanging"

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        raise NotImplementedError

    async def _acall(
        self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> str:
        self.asked.set()
        await asyncio.Event().wait()
        return "never"


async def test_a_cancelled_request_of_several_prompts_is_one_call(
    totals: Totals, tokenbeat_ledger: Ledger
) -> None:
    model = HangingText(asked=asyncio.Event())
    task = asyncio.create_task(model.agenerate(["a", "b", "c"]))
    await model.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 3})
    assert tokenbeat_ledger.snapshot().open == 0


class Parts:
    """What the handler is made of, with a short patience."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.ends = CallEnds(calls=self.calls)
        self.orphans = Orphans(calls=self.calls, ends=self.ends, grace_s=0.01)
        standings = Standings(runs=FrameworkRuns(), calls=self.calls)
        self.meter = Meter(calls=self.calls, standings=standings, orphans=self.orphans)

    def start(
        self, run_id: UUID, *, operation: str = "chat", params: Any = None, batch_size: int = 1
    ) -> None:
        self.meter.started(
            operation, serialized=None, run_id=run_id, parent_run_id=None, tags=(), metadata={},
            params=params or {}, batch_size=batch_size,
        )  # fmt: skip


async def test_a_call_that_outlives_its_task_is_given_up_after_a_while(totals: Totals) -> None:
    parts, run_id = Parts(), uuid.uuid4()

    async def start() -> None:
        parts.start(run_id)

    await asyncio.create_task(start())
    assert totals() == {}
    assert await _soon(lambda: totals() == {"cancelled": 1, "items": 1})


async def test_a_call_that_ends_soon_after_its_task_ends_by_itself(
    totals: Totals, said: Model
) -> None:
    parts, run_id = Parts(), uuid.uuid4()

    async def start() -> None:
        parts.start(run_id)

    await asyncio.create_task(start())
    result = LLMResult(generations=[[ChatGeneration(message=said(10, 5))]])
    parts.ends.told(run_id, response=result, error=None)
    await asyncio.sleep(0.03)
    assert (totals()["ok"], totals()["input_tokens"]) == (1, 10)


def test_an_end_after_a_call_was_given_up_only_raises_it(totals: Totals, said: Model) -> None:
    parts, run_id = Parts(), uuid.uuid4()
    parts.start(run_id)
    parts.orphans.all_abandoned()
    assert totals() == {"abandoned": 1, "items": 1}
    result = LLMResult(generations=[[ChatGeneration(message=said(10, 5))]])
    parts.ends.told(run_id, response=result, error=None)
    told = totals()
    assert (told["abandoned"], told["input_tokens"], told["output_tokens"]) == (1, 10, 5)
    assert "ok" not in told


def test_a_dropped_run_is_buried_where_no_lock_is_held(totals: Totals) -> None:
    parts = Parts()
    parts.start(uuid.uuid4())  # nobody keeps this id
    parts.orphans.bury_dropped()
    for _ in range(1_000):
        if totals():
            break
        threading.Event().wait(0.005)
    assert totals() == {"abandoned": 1, "items": 1}


def test_a_request_whose_prompts_ended_differently_is_one_call(totals: Totals, said: Model) -> None:
    parts, params = Parts(), {"model": "m"}
    first, second = uuid.uuid4(), uuid.uuid4()
    for run_id in (first, second):
        parts.start(run_id, operation="text_completion", params=params, batch_size=2)
    assert len(parts.calls.open) == 2
    result = LLMResult(generations=[[ChatGeneration(message=said(10, 5))]])
    parts.ends.told(first, response=result, error=None)
    assert totals() == {}
    parts.orphans.all_abandoned()
    parts.ends.told(second, response=result, error=None)  # late: its request is over
    assert (totals()["ok"], totals()["items"], totals()["input_tokens"]) == (1, 2, 10)


def test_an_end_of_a_call_that_nobody_saw_start_is_passed_over(totals: Totals) -> None:
    Parts().ends.told(uuid.uuid4(), response=None, error=ValueError())
    assert totals() == {}
