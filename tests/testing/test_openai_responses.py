"""Responses, read by the real OpenAI client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tokenbeat.testing import Answer, Failure, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.testing import ModelServer

DETAILED = Usage(input_tokens=100, output_tokens=50, cache_read_tokens=60, reasoning_tokens=30)


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model_server.openai_url, api_key="any", max_retries=0) as client:
        yield client


def test_a_plain_answer_tells_what_the_bill_says_and_fetching_it_is_free(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(text="Hi.", usage=DETAILED))

    answer = client.responses.create(model="gpt-4o", input="hello")
    again = client.responses.retrieve(answer.id)

    assert answer.output_text == "Hi."
    assert answer.usage is not None
    assert answer.usage.input_tokens == 100
    assert answer.usage.input_tokens_details.cached_tokens == 60
    assert answer.usage.output_tokens == 50
    assert answer.usage.output_tokens_details.reasoning_tokens == 30
    assert answer.usage.total_tokens == model_server.bill.total_tokens == 150
    assert again.usage == answer.usage
    assert [entry.response_id for entry in model_server.bill.entries] == [answer.id]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_unknown")


def test_a_stream_ends_with_the_same_answer(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    calls = (ToolCall(name="search", arguments={"q": "t"}),)
    model_server.enqueue(Answer(text="abcd", chunks=2, tool_calls=calls, usage=DETAILED))

    with client.responses.stream(model="gpt-4o", input="hello") as stream:
        events = list(stream)
        final = stream.get_final_response()

    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert pieces == ["ab", "cd"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    message, call = final.output
    assert message.type == "message"
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("search", '{"q": "t"}')
    assert final.usage is not None
    assert final.usage.total_tokens == 150
    (entry,) = model_server.bill.entries
    assert (entry.told, entry.stream, entry.response_id) == (True, True, final.id)


def test_an_error_in_mid_stream_is_an_event_and_is_billed(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(usage=DETAILED, fail=Failure(after_chunks=1, message="Oh")))

    events = list(client.responses.create(model="gpt-4o", input="hello", stream=True))

    assert events[-1].type == "error"
    assert events[-1].message == "Oh"
    assert model_server.bill.entries[0].ended == "error"
    assert model_server.bill.total_tokens == 150


def test_an_input_that_is_missing_is_refused_by_name(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="input"):
        client.responses.create(model="gpt-4o", input="")

    assert model_server.bill.entries == ()
