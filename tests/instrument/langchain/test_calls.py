"""Every way to call a model is a call, once, with what it used."""

# ruff: noqa: ARG002 LangChain decides what it passes
# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import copy
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManager
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import context as hooks

from tokenbeat.instrument.langchain.handler import TokenbeatHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.ledger.report import Report

Model = Any
Spent = "Callable[[], dict[str, tuple[int, int, int]]]"


class Watcher:
    """Keeps the reports that it is told of."""

    def __init__(self) -> None:
        self.ended: list[Report] = []

    def call_started(self, report: Report) -> None: ...

    def call_ended(self, report: Report) -> None:
        self.ended.append(report)

    def call_entered(self, report: Report, counts: Any) -> None: ...

    def call_raised(self, report: Report, counts: Any) -> None: ...


@pytest.fixture
def watched(tokenbeat_ledger: Ledger) -> list[Report]:
    watcher = Watcher()
    tokenbeat_ledger.subscribe(watcher)
    return watcher.ended


def test_an_invoked_model_is_one_call_with_its_usage(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    scripted(said(10, 5)).invoke("hi")
    assert totals() == {
        "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 5
    }  # fmt: skip


async def test_an_awaited_model_is_one_call_with_its_usage(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    await scripted(said(10, 5)).ainvoke("hi")
    assert totals() == {
        "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 5
    }  # fmt: skip


def test_a_stream_is_one_call_that_ends_with_it(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]], watched: list[Report]
) -> None:
    for seen, _ in enumerate(streaming(said(10, 5)).stream("hi")):
        if seen == 0:
            assert totals() == {}
    assert totals()["ok"] == 1
    assert (totals()["input_tokens"], totals()["output_tokens"]) == (10, 5)
    (report,) = watched
    assert report.stream
    assert report.chunks >= 3
    assert report.first_chunk_ns is not None
    assert report.last_chunk_ns is not None
    assert report.started_mono_ns <= report.first_chunk_ns <= report.last_chunk_ns


async def test_an_asynchronous_stream_is_one_call(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    assert [chunk async for chunk in streaming(said(10, 5)).astream("hi")]
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (1, 10, 5)


def test_each_input_of_a_batch_is_a_call(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    scripted(said(10, 5), said(20, 6), said(30, 7)).batch(["a", "b", "c"])
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (3, 60, 18)


async def test_each_input_of_an_asynchronous_batch_is_a_call(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    await scripted(said(10, 5), said(20, 6), said(30, 7)).abatch(["a", "b", "c"])
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (3, 60, 18)


def test_two_chat_prompts_in_one_generate_are_two_calls_of_one_token(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]], watched: list[Report]
) -> None:
    scripted(said(100, 40), said(100, 40)).generate([[HumanMessage("a")], [HumanMessage("b")]])
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (2, 200, 80)
    assert len(watched) == 2
    assert watched[0].member_of is watched[1].member_of


async def test_two_chat_prompts_in_one_agenerate_are_two_calls_of_one_token(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]], watched: list[Report]
) -> None:
    model = scripted(said(100, 40), said(100, 40))
    await model.agenerate([[HumanMessage("a")], [HumanMessage("b")]])
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (2, 200, 80)
    assert len(watched) == 2
    assert watched[0].member_of is watched[1].member_of


def test_two_calls_have_two_tokens(scripted: Model, said: Model, watched: list[Report]) -> None:
    model = scripted(said(1, 1), said(1, 1))
    model.invoke("a")
    model.invoke("b")
    assert watched[0].member_of is not watched[1].member_of


def test_an_error_without_usage_is_a_failed_attempt_and_no_call(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]], watched: list[Report]
) -> None:
    model = scripted(ValueError("no"), said(10, 5)).with_retry(wait_exponential_jitter=False)
    model.invoke("hi")
    assert totals()["failed_attempts"] == 1
    assert (totals()["ok"], totals()["input_tokens"]) == (1, 10)
    assert watched[0].error_type == "ValueError"
    assert watched[0].outcome == "error"


def test_a_fallback_counts_for_the_model_that_answered(
    scripted: Model, said: Model, tokenbeat_ledger: Ledger
) -> None:
    scripted(ValueError("no"), model="a").with_fallbacks([scripted(said(10, 5), model="b")]).invoke(
        "hi"
    )
    cells = {cell.key.request_model: cell.counts for cell in tokenbeat_ledger.snapshot().cells}
    assert cells["b"][0] == 1
    assert cells["a"][0] == 0


def test_an_error_in_the_middle_of_a_stream_keeps_what_its_chunks_told(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    told = {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}
    model = streaming(said(10, 5), chunk_usages=[told, None, ConnectionError("cut")])
    with pytest.raises(ConnectionError):
        list(model.stream("hi"))
    assert totals() == {
        "error": 1, "with_usage": 1, "partial": 1, "items": 1, "input_tokens": 10
    }  # fmt: skip


def test_a_stream_that_nobody_reads_on_is_abandoned_with_what_its_chunks_told(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    told = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}
    stream = streaming(said(10, 5), chunk_usages=[told, None, None]).stream("hi")
    next(iter(stream))
    stream.close()
    assert totals() == {
        "abandoned": 1, "with_usage": 1, "partial": 1, "items": 1, "input_tokens": 10,
        "output_tokens": 1,
    }  # fmt: skip


async def test_an_asynchronous_stream_that_is_left_is_abandoned(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    stream = streaming(said(10, 5)).astream("hi")
    await anext(stream)
    await stream.aclose()
    assert totals() == {"abandoned": 1, "items": 1}


def test_growing_totals_of_a_stream_are_not_added_up(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    grown = [{"input_tokens": 10, "output_tokens": n, "total_tokens": 10 + n} for n in (1, 3, 3)]
    list(streaming(said(0, 0), chunk_usages=list(grown)).stream("hi"))
    assert (totals()["input_tokens"], totals()["output_tokens"]) == (10, 3)


def test_usage_split_over_first_and_last_chunk_is_added(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    first = {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}
    last = {"input_tokens": 0, "output_tokens": 5, "total_tokens": 5}
    list(streaming(said(0, 0), chunk_usages=[first, None, last]).stream("hi"))
    assert (totals()["input_tokens"], totals()["output_tokens"]) == (10, 5)


def test_many_chunks_with_usage_count_as_the_message_does(
    streaming: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    words = " ".join("w" for _ in range(200))
    deltas: list[Any] = [{"input_tokens": 7, "output_tokens": 1, "total_tokens": 8}]
    deltas += [{"input_tokens": 0, "output_tokens": 1, "total_tokens": 1}] * 199
    list(streaming(said(0, 0, words), chunk_usages=deltas).stream("hi"))
    assert (totals()["input_tokens"], totals()["output_tokens"]) == (7, 200)


def test_no_usage_is_unknown_and_not_none(
    scripted: Model, totals: Callable[[], dict[str, int]]
) -> None:
    scripted(AIMessage("hi")).invoke("hi")
    assert totals() == {"ok": 1, "items": 1}


def test_a_local_cache_bills_nothing(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    model = scripted(said(10, 5))
    model.cache = InMemoryCache()
    model.invoke("hi")
    model.invoke("hi")
    assert totals() == {
        "ok": 2, "with_usage": 1, "cached": 1, "items": 2, "input_tokens": 10, "output_tokens": 5,
        "cached_input_tokens": 10, "cached_output_tokens": 5,
    }  # fmt: skip


def _installed_handler() -> TokenbeatHandler:
    (handler,) = (
        entry[0].get()
        for entry in hooks._configure_hooks
        if isinstance(entry[0].get(), TokenbeatHandler)
    )
    assert isinstance(handler, TokenbeatHandler)
    return handler


def test_one_handler_in_two_places_counts_once(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]], tokenbeat_ledger: Ledger
) -> None:
    handler = _installed_handler()
    model = scripted(*[said(10, 5) for _ in range(4)])
    model.invoke("hi", {"callbacks": [handler, handler]})
    model.with_config(callbacks=[handler]).invoke("hi", {"callbacks": [handler]})
    model.invoke("hi", {"callbacks": CallbackManager([handler])})
    model.invoke("hi", {"callbacks": []})
    assert (totals()["ok"], totals()["input_tokens"]) == (4, 40)
    books = tokenbeat_ledger.snapshot().books
    assert not books.anomalies
    assert not books.reconciliations


def test_a_copied_handler_is_the_same_one(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    handler = _installed_handler()
    assert copy.copy(handler) is handler
    assert copy.deepcopy([handler])[0] is handler
    scripted(said(10, 5)).invoke("hi", {"callbacks": [copy.deepcopy(handler)]})
    assert totals()["ok"] == 1


def test_a_run_id_used_again_is_a_second_call(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    run_id = uuid.uuid4()
    model = scripted(said(10, 5), said(20, 6))
    model.invoke("hi", {"run_id": run_id})
    model.invoke("hi", {"run_id": run_id})
    assert (totals()["ok"], totals()["input_tokens"]) == (2, 30)


def test_a_second_end_of_a_call_only_raises(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    handler = _installed_handler()
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id)
    handler.on_llm_end(_result(said(10, 0)), run_id=run_id)
    handler.on_llm_end(_result(said(10, 5)), run_id=run_id)
    handler.on_llm_error(ValueError(), run_id=run_id)
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (1, 10, 5)
    assert "error" not in totals()


def _result(message: AIMessage) -> Any:
    return LLMResult(generations=[[ChatGeneration(message=message)]])


class Wrapping(BaseChatModel):
    """A model that asks another one and passes its answer on, usage included."""

    inner: Any

    @property
    def _llm_type(self) -> str:
        return "wrapping"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        inside = CallbackManager([], parent_run_id=run_manager.run_id)
        ask = RunnableLambda(self.inner.invoke)
        answer = ask.invoke("hi", {"callbacks": inside})
        return ChatResult(generations=[ChatGeneration(message=answer)])


def test_a_model_inside_a_model_is_one_call(
    scripted: Model, said: Model, tokenbeat_ledger: Ledger, totals: Callable[[], dict[str, int]]
) -> None:
    Wrapping(inner=scripted(said(10, 5), model="inner")).invoke("hi")
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (1, 10, 5)
    (cell,) = tokenbeat_ledger.snapshot().cells
    assert cell.key.request_model == "inner"


def test_a_second_model_called_in_the_loop_of_a_stream_is_a_call_of_its_own(
    streaming: Model, scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    other = scripted(said(100, 1), said(100, 1), said(100, 1), said(100, 1), said(100, 1))
    rounds = 0
    for _ in streaming(said(10, 5)).stream("hi"):
        other.invoke("what of it?")
        rounds += 1
    assert (totals()["ok"], totals()["input_tokens"]) == (1 + rounds, 10 + 100 * rounds)


def test_nothing_of_prompts_answers_and_arguments_is_touched(tokenbeat_ledger: Ledger) -> None:
    class Private:
        """Whoever looks at it fails."""

        def __getattribute__(self, name: str) -> Any:
            if name == "__class__":
                return object.__getattribute__(self, name)
            raise AssertionError(name)

        __str__ = __repr__ = __len__ = __iter__ = None  # type: ignore[assignment]

    handler = _installed_handler()
    private: Any = Private()
    chain, tool, call, text = (uuid.uuid4() for _ in range(4))
    handler.on_chain_start({"name": "c"}, private, run_id=chain, name="c")
    handler.on_tool_start({"name": "t"}, private, run_id=tool, parent_run_id=chain, inputs=private)
    handler.on_chat_model_start({}, private, run_id=call, parent_run_id=tool)
    handler.on_llm_new_token(private, run_id=call)
    handler.on_llm_end(_result(AIMessage("x")), run_id=call)
    handler.on_llm_start({}, private, run_id=text, parent_run_id=tool)
    handler.on_llm_error(ValueError(), run_id=text)
    handler.on_tool_end(private, run_id=tool)
    handler.on_chain_end(private, run_id=chain)
    assert tokenbeat_ledger.snapshot().totals[0] == 1


async def test_forty_calls_at_once_are_forty_calls(
    scripted: Model, said: Model, totals: Callable[[], dict[str, int]]
) -> None:
    model = scripted(*[said(10, 5) for _ in range(40)])
    await asyncio.gather(*(model.ainvoke("hi") for _ in range(40)))
    assert (totals()["ok"], totals()["input_tokens"], totals()["output_tokens"]) == (40, 400, 200)
