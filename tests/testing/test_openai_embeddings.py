"""Embeddings, read by the real OpenAI client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tokenbeat.testing import Answer, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.testing import ModelServer


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model_server.openai_url, api_key="any", max_retries=0) as client:
        yield client


def test_several_inputs_are_one_request_without_output(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(usage=Usage(input_tokens=11)))

    answer = client.embeddings.create(model="m", input=["a", "b", "a"])

    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 11
    first, other, same = (one.embedding for one in answer.data)
    assert first == same
    assert first != other
    (entry,) = model_server.bill.entries
    assert (entry.operation, entry.items, entry.input_tokens) == ("embeddings", 3, 11)
    assert (entry.output_tokens, entry.told) == (0, True)


def test_both_encodings_carry_the_same_vector(client: openai.OpenAI) -> None:
    plain = client.embeddings.create(model="m", input="a", encoding_format="float", dimensions=3)
    packed = client.embeddings.create(model="m", input="a", dimensions=3)

    assert len(plain.data[0].embedding) == 3
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
