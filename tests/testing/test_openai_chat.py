"""Chat completions, read by the real OpenAI client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import openai
import pytest

from tokenbeat.testing import Answer, Failure, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

    from tokenbeat.testing import ModelServer

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
# Before its version 2 the client lets the transport's own error through in mid-stream.
BROKEN = (openai.APIConnectionError, httpx.TransportError)
DETAILED = Usage(
    input_tokens=100,
    output_tokens=50,
    cache_read_tokens=60,
    audio_input_tokens=7,
    reasoning_tokens=30,
    audio_output_tokens=5,
)
SEARCH: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model_server.openai_url, api_key="any", max_retries=0) as client:
        yield client


def test_a_plain_answer_tells_what_the_bill_says(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(text="Hi.", usage=DETAILED, model="gpt-4o-2024-08-06"))

    answer = client.chat.completions.create(model="gpt-4o", messages=ASK)

    (entry,) = model_server.bill.entries
    assert answer.choices[0].message.content == "Hi."
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == entry.input_tokens == 100
    assert answer.usage.completion_tokens == entry.output_tokens == 50
    assert answer.usage.total_tokens == model_server.bill.total_tokens == 150
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 60
    assert answer.usage.prompt_tokens_details.audio_tokens == 7
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 30
    assert answer.usage.completion_tokens_details.audio_tokens == 5
    assert (answer.id, answer.model) == (entry.response_id, "gpt-4o-2024-08-06")
    assert (entry.request_model, entry.response_model) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert (entry.ended, entry.told, entry.stream) == ("ok", True, False)


def test_a_stream_tells_usage_only_where_it_was_asked_for(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(text="abcdef", chunks=3, usage=DETAILED), Answer(usage=DETAILED))

    asked = list(
        client.chat.completions.create(
            model="gpt-4o", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    not_asked = list(client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True))

    assert [chunk.choices[0].delta.content for chunk in asked if chunk.choices] == [
        *("", "ab", "cd", "ef"),
        None,
    ]
    assert [chunk.usage is None for chunk in asked] == [True] * 5 + [False]
    assert asked[-1].choices == []
    assert asked[-1].usage is not None
    assert asked[-1].usage.total_tokens == 150
    assert len({chunk.id for chunk in asked}) == 1
    assert all("usage" not in chunk.model_fields_set for chunk in not_asked)
    first, second = model_server.bill.entries
    assert (first.told, first.told_input_tokens, first.told_output_tokens) == (True, 100, 50)
    assert (second.told, second.told_input_tokens, second.told_output_tokens) == (False, 0, 0)
    assert model_server.bill.total_tokens == 300


def test_growing_usage_is_repeated_where_a_client_wants_it(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(
        Answer(text="abcd", chunks=4, usage=Usage(input_tokens=9, output_tokens=8))
    )

    chunks = client.chat.completions.create(
        model="m",
        messages=ASK,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    )

    told = [
        (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for chunk in chunks
        if chunk.usage
    ]
    assert told == [(9, 0), (9, 2), (9, 4), (9, 6), (9, 8), (9, 8), (9, 8)]


def test_several_candidates_share_one_usage(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(
        Answer(text="ab", chunks=1, usage=Usage(input_tokens=10, output_tokens=20)),
        Answer(text="ab", chunks=1, usage=Usage(input_tokens=10, output_tokens=20)),
    )

    whole = client.chat.completions.create(model="m", messages=ASK, n=2)
    stream = list(client.chat.completions.create(model="m", messages=ASK, n=2, stream=True))

    assert [choice.index for choice in whole.choices] == [0, 1]
    assert whole.usage is not None
    assert whole.usage.total_tokens == 30
    said = {choice.index for chunk in stream for choice in chunk.choices if choice.delta.content}
    assert said == {0, 1}
    assert [entry.choices for entry in model_server.bill.entries] == [2, 2]
    assert model_server.bill.total_tokens == 60


def test_tool_calls_arrive_whole_and_in_pieces(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    calls = (ToolCall(name="search", arguments={"q": "tokens"}), ToolCall(name="search"))
    model_server.enqueue(Answer(tool_calls=calls), Answer(tool_calls=calls))

    whole = client.chat.completions.create(model="m", messages=ASK, tools=[SEARCH])
    with client.chat.completions.stream(model="m", messages=ASK, tools=[SEARCH]) as stream:
        streamed = stream.get_final_completion()

    for answer in (whole, streamed):
        assert answer.choices[0].finish_reason == "tool_calls"
        made = answer.choices[0].message.tool_calls
        assert made is not None
        assert [call.type for call in made] == ["function", "function"]
        assert [call.function.arguments for call in made if call.type == "function"] == [
            '{"q": "tokens"}',
            "{}",
        ]
        assert made[0].id != made[1].id


def test_an_error_before_the_first_byte_is_not_billed(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(fail=Failure(status=429, headers={"Retry-After": "7"})))

    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="m", messages=ASK)

    assert caught.value.response.headers["retry-after"] == "7"
    assert model_server.bill.entries == ()
    (refused,) = model_server.bill.refused
    assert (refused.status, refused.request_model) == (429, "m")


def test_an_error_in_mid_stream_is_billed(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.enqueue(
        Answer(text="abcdef", chunks=3, usage=DETAILED, fail=Failure(after_chunks=2, message="Oh"))
    )
    stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
    seen: list[str | None] = []

    with pytest.raises(openai.APIError, match="Oh"):
        seen.extend(chunk.choices[0].delta.content for chunk in stream)

    (entry,) = model_server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("error", False, 150)


def test_an_answer_that_does_not_stream_can_fail_after_it_was_billed(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(usage=DETAILED, fail=Failure(status=503, after_chunks=1)))

    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=ASK)

    (entry,) = model_server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("error", False, 150)
    assert model_server.bill.refused == ()


def test_a_cut_connection_is_billed(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.enqueue(
        Answer(text="abcdef", chunks=3, usage=DETAILED, cut_after_chunks=2),
        Answer(usage=DETAILED, cut_after_chunks=0),
    )
    seen: list[str | None] = []
    stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
    with pytest.raises(BROKEN):
        seen.extend(chunk.choices[0].delta.content for chunk in stream)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=ASK)

    assert seen == ["", "ab", "cd"]
    assert [entry.ended for entry in model_server.bill.entries] == ["cut", "cut"]
    assert model_server.bill.total_tokens == 300


def test_a_client_that_leaves_is_billed_and_was_told_nothing(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(text="abcdef", usage=DETAILED, pause_after_chunks=1))
    stream = client.chat.completions.create(
        model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    assert model_server.wait_until_paused()

    stream.close()

    assert model_server.bill.wait_until_settled()
    (entry,) = model_server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("client_gone", False, 150)


def test_a_paused_answer_goes_on(model_server: ModelServer, client: openai.OpenAI) -> None:
    model_server.enqueue(Answer(text="abcdef", chunks=3, pause_after_chunks=1))
    stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
    assert model_server.wait_until_paused()
    (running,) = model_server.bill.entries

    assert model_server.resume() == 1

    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "abcdef"
    (ended,) = model_server.bill.entries
    assert (running.ended, ended.ended) == ("running", "ok")


def test_a_request_that_openai_would_refuse_is_refused_by_name(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model="m", messages=[])

    assert model_server.bill.refused[0].status == 400
