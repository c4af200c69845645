"""What an answer tells: usage wherever adapters put it, names, ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from tokenbeat.instrument.langchain.answered import once, read_answer
from tokenbeat.usage.tokens import TokenUsage

USAGE: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def result(*messages: AIMessage, llm_output: Any = None, info: Any = None) -> LLMResult:
    generations: list[Any] = [
        ChatGeneration(message=message, generation_info=info) for message in messages
    ]
    return LLMResult(generations=[generations], llm_output=llm_output)


def read(response: Any, *, provider: str = "openai", request_model: str | None = None) -> Any:
    return read_answer(response, provider=provider, request_model=request_model)


RAW = {"prompt_tokens": 10, "completion_tokens": 5}
OLLAMA = {"prompt_eval_count": 10, "eval_count": 5}
PLAIN = {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    "response",
    [
        result(AIMessage("x", usage_metadata=USAGE)),
        result(AIMessage("x", response_metadata={"token_usage": RAW})),
        result(AIMessage("x", response_metadata={"usage": PLAIN})),
        result(AIMessage("x", response_metadata=OLLAMA)),
        result(AIMessage("x"), llm_output={"token_usage": RAW}),
        result(AIMessage("x"), llm_output={"usage": PLAIN}),
        result(AIMessage("x"), info={"token_usage": RAW}),
        result(AIMessage("x", usage_metadata=USAGE), llm_output={"token_usage": {}}),
        LLMResult(generations=[[Generation(text="x", generation_info=OLLAMA)]]),
    ],
)
def test_usage_is_found_wherever_adapters_put_it(response: LLMResult) -> None:
    usage = read(response).reported.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, 5)


def test_usage_of_the_request_comes_before_that_of_candidates() -> None:
    response = result(
        AIMessage("x", usage_metadata=USAGE), AIMessage("y", usage_metadata=USAGE),
        llm_output={"token_usage": {"prompt_tokens": 11, "completion_tokens": 6}},
    )  # fmt: skip
    assert read(response).reported.usage == TokenUsage(input_tokens=11, output_tokens=6)


def test_equal_usage_on_candidates_is_the_requests_and_counts_once() -> None:
    messages = [AIMessage("x", usage_metadata=USAGE) for _ in range(3)]
    assert read(result(*messages)).reported.usage == TokenUsage(input_tokens=10, output_tokens=5)


def test_different_usage_on_candidates_is_added() -> None:
    other: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    response = result(AIMessage("x", usage_metadata=USAGE), AIMessage("y", usage_metadata=other))
    assert read(response).reported.usage == TokenUsage(input_tokens=15, output_tokens=7)


def test_no_usage_is_none() -> None:
    answer = read(result(AIMessage("x")))
    assert answer.reported.usage is None
    assert answer.reported.anomalies == ()


def test_only_a_total_is_unclassified() -> None:
    usage = read(result(AIMessage("x"), llm_output={"token_usage": {"total_tokens": 99}})).reported
    assert usage.usage == TokenUsage(unclassified_tokens=99)


def test_a_negative_count_is_named_and_the_others_are_kept() -> None:
    broken: Any = {"input_tokens": -5, "output_tokens": 20, "total_tokens": 15}
    reported = read(result(AIMessage.model_construct(content="x", usage_metadata=broken))).reported
    assert reported.usage == TokenUsage(output_tokens=20)
    assert reported.malformed
    assert reported.anomalies == ("negative:input_tokens",)


def test_a_cost_of_zero_marks_the_local_cache() -> None:
    cached: Any = {**USAGE, "total_cost": 0}
    assert read(result(AIMessage("x", usage_metadata=cached))).cached
    assert not read(result(AIMessage("x", usage_metadata=USAGE))).cached
    billed: Any = {**USAGE, "total_cost": 0.5}
    assert not read(result(AIMessage("x", usage_metadata=billed))).cached


@pytest.mark.parametrize(
    ("message", "provider", "response_id"),
    [
        (AIMessage("x", id="lc_run--0199-0"), "openai", None),
        (AIMessage("x", id="run--0199-0"), "openai", None),
        (AIMessage("x", id="run-0199-0"), "openai", None),
        (AIMessage("x", id="resp_0123"), "openai", "resp_0123"),
        (AIMessage("x", id="msg_0123"), "openai", None),
        (AIMessage("x", id="msg_0123"), "anthropic", "msg_0123"),
        (AIMessage("x", id="my own"), "openai", None),
        (AIMessage("x", id="resp_1", response_metadata={"id": "resp_0"}), "openai", "resp_0"),
    ],
)
def test_only_the_providers_id_is_a_response_id(
    message: AIMessage, provider: str, response_id: str | None
) -> None:
    assert read(result(message), provider=provider).response_id == response_id


def test_the_model_is_found_on_the_message_or_the_output() -> None:
    message = AIMessage("x", response_metadata={"model_name": "m-1", "finish_reason": "stop"})
    answer = read(result(message))
    assert (answer.model, answer.finish_reasons) == ("m-1", ("stop",))
    assert read(result(AIMessage("x"), llm_output={"model": "m-2"})).model == "m-2"
    assert read(result(AIMessage("x"))).model is None


def test_a_model_name_repeated_over_chunks_is_one_name() -> None:
    message = AIMessage("x", response_metadata={"model_name": "gpt-4ogpt-4ogpt-4o"})
    assert read(result(message), request_model="gpt-4o").model == "gpt-4o"


def test_a_name_that_was_asked_for_is_not_taken_apart() -> None:
    message = AIMessage("x", response_metadata={"model_name": "yi-yi-"})
    assert read(result(message), request_model="yi-yi-").model == "yi-yi-"
    assert once("aaaa") == "aaaa"


@given(st.text(min_size=3, max_size=20), st.integers(min_value=1, max_value=9))
def test_once_gives_one_name_back_however_often_it_was_repeated(name: str, times: int) -> None:
    assert once(name * times) == once(name)


def test_a_result_that_is_none_says_nothing() -> None:
    answer = read(None)
    assert answer.reported.usage is None
    assert answer.finish_reasons == ()
    assert not answer.cached
