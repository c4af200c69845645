"""Completions, read by the real OpenAI client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tokenbeat.testing import Answer, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.testing import ModelServer

PRICE = Usage(input_tokens=10, output_tokens=20, cache_read_tokens=4)


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model_server.openai_url, api_key="any", max_retries=0) as client:
        yield client


def test_several_prompts_and_candidates_are_one_request(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(text="Hi.", usage=PRICE))

    answer = client.completions.create(model="m", prompt=["a", "b"], n=2)

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.total_tokens == model_server.bill.total_tokens == 30
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    (entry,) = model_server.bill.entries
    assert (entry.operation, entry.items, entry.choices) == ("text_completion", 2, 2)


def test_a_stream_tells_usage_only_where_it_was_asked_for(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    answer = Answer(text="abcd", chunks=2, usage=PRICE)
    model_server.enqueue(answer, answer)

    asked = list(
        client.completions.create(
            model="m", prompt="a", stream=True, stream_options={"include_usage": True}
        )
    )
    not_asked = list(client.completions.create(model="m", prompt="a", stream=True))

    assert [chunk.choices[0].text for chunk in asked[:-1]] == ["ab", "cd", ""]
    assert asked[-1].choices == []
    assert asked[-1].usage is not None
    assert asked[-1].usage.total_tokens == 30
    assert [chunk.usage for chunk in not_asked] == [None] * 3
    assert [entry.told for entry in model_server.bill.entries] == [True, False]


def test_token_numbers_are_one_prompt(model_server: ModelServer, client: openai.OpenAI) -> None:
    client.completions.create(model="m", prompt=[1, 2, 3])

    assert model_server.bill.entries[0].items == 1


def test_a_prompt_that_is_no_text_is_refused_by_name(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(model="m", prompt=[])

    assert model_server.bill.entries == ()
