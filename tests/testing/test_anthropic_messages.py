"""Messages, read by the real Anthropic client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import pytest

from tokenbeat.testing import Answer, Failure, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types import MessageParam

    from tokenbeat.testing import ModelServer

ASK: list[MessageParam] = [{"role": "user", "content": "hello"}]
DETAILED = Usage(
    input_tokens=100,
    output_tokens=50,
    cache_read_tokens=40,
    cache_write_5m_tokens=20,
    cache_write_1h_tokens=10,
    reasoning_tokens=30,
)


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=model_server.anthropic_url, api_key="any", max_retries=0
    ) as client:
        yield client


def test_a_plain_answer_puts_cached_input_beside_input(
    model_server: ModelServer, client: anthropic.Anthropic
) -> None:
    model_server.enqueue(Answer(text="Hi.", usage=DETAILED, model="claude-1"))

    answer = client.messages.create(model="claude", max_tokens=9, messages=ASK)

    told = answer.usage
    assert (told.input_tokens, told.cache_read_input_tokens) == (30, 40)
    assert told.cache_creation_input_tokens == 30
    assert told.cache_creation is not None
    assert told.cache_creation.ephemeral_5m_input_tokens == 20
    assert told.cache_creation.ephemeral_1h_input_tokens == 10
    assert told.output_tokens == 50
    assert told.output_tokens_details is not None
    assert told.output_tokens_details.thinking_tokens == 30
    assert model_server.bill.total_tokens == 150
    (entry,) = model_server.bill.entries
    assert (answer.id, answer.model) == (entry.response_id, entry.response_model)
    assert (entry.request_model, entry.told) == ("claude", True)


def test_a_stream_tells_input_first_and_the_totals_last(
    model_server: ModelServer, client: anthropic.Anthropic
) -> None:
    model_server.enqueue(Answer(text="abcdef", chunks=3, usage=DETAILED))

    events = list(client.messages.create(model="claude", max_tokens=9, messages=ASK, stream=True))

    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *("content_block_delta",) * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    first, last = events[0], events[-2]
    assert first.type == "message_start"
    assert (first.message.usage.input_tokens, first.message.usage.output_tokens) == (30, 1)
    assert last.type == "message_delta"
    assert last.usage.output_tokens == 50
    assert last.usage.cache_read_input_tokens == 40
    (entry,) = model_server.bill.entries
    assert (entry.told, entry.told_input_tokens, entry.told_output_tokens) == (True, 100, 50)


def test_tool_calls_arrive_whole_and_in_pieces(
    model_server: ModelServer, client: anthropic.Anthropic
) -> None:
    answer = Answer(text="So.", tool_calls=(ToolCall(name="search", arguments={"q": "t"}),))
    model_server.enqueue(answer, answer)

    whole = client.messages.create(model="claude", max_tokens=9, messages=ASK)
    with client.messages.stream(model="claude", max_tokens=9, messages=ASK) as stream:
        streamed = stream.get_final_message()

    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        text, tool = message.content
        assert text.type == "text"
        assert text.text == "So."
        assert tool.type == "tool_use"
        assert (tool.name, tool.input) == ("search", {"q": "t"})


def test_an_overloaded_provider_says_so_before_and_within_a_stream(
    model_server: ModelServer, client: anthropic.Anthropic
) -> None:
    model_server.enqueue(
        Answer(fail=Failure(status=529)),
        Answer(fail=Failure(status=529, after_chunks=1), usage=DETAILED),
    )

    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        client.messages.create(model="claude", max_tokens=9, messages=ASK)
    stream = client.messages.create(model="claude", max_tokens=9, messages=ASK, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        list(stream)

    assert model_server.bill.refused[0].status == 529
    (entry,) = model_server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("error", False, 150)
    assert (entry.told_input_tokens, entry.told_output_tokens) == (100, 1)


def test_a_client_that_leaves_was_told_the_input(
    model_server: ModelServer, client: anthropic.Anthropic
) -> None:
    model_server.enqueue(Answer(usage=DETAILED, pause_after_chunks=1))
    stream = client.messages.create(model="claude", max_tokens=9, messages=ASK, stream=True)
    assert model_server.wait_until_paused()

    stream.close()

    assert model_server.bill.wait_until_settled()
    (entry,) = model_server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("client_gone", False, 150)
    assert (entry.told_input_tokens, entry.told_output_tokens) == (100, 1)
