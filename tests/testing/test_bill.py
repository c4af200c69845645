"""The bill: kept by request, summed by model and by whose requests they were, read over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from tokenbeat.testing import Answer, Failure, Rule, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam

    from tokenbeat.testing import ModelServer

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(model_server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model_server.openai_url, api_key="any", max_retries=0) as client:
        yield client


def _cost(tokens: int) -> Answer:
    return Answer(usage=Usage(input_tokens=tokens, output_tokens=1))


def test_sums_by_model_and_by_label_make_up_the_total(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.add(Rule(model="a", label="lead", answers=(_cost(10), _cost(20))))
    model_server.add(Rule(model="b", label="helper", answers=(_cost(40),)))
    for model in ("a", "b", "a", "c"):
        client.chat.completions.create(model=model, messages=ASK)

    bill = model_server.bill

    assert bill.by_model()["a"].total_tokens == 32
    assert bill.by_model()["b"].input_tokens == 40
    assert {label: total.requests for label, total in bill.by_label().items()} == {
        "lead": 2,
        "helper": 1,
        None: 1,
    }
    assert bill.by_model_and_label()["a", "lead"].output_tokens == 2
    assert sum(total.total_tokens for total in bill.by_model().values()) == bill.total_tokens
    assert bill.total_tokens == bill.input_tokens + bill.output_tokens


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({"extra_headers": {"x-tokenbeat-label": "header"}, "user": "u"}, "header"),
        ({"metadata": {"label": "metadata"}, "user": "u"}, "metadata"),
        ({"messages": [{"role": "system", "content": "[bill:marker]"}, *ASK]}, "marker"),
        ({"model": "ruled", "user": "u"}, "rule"),
        ({"user": "u"}, "u"),
        ({}, None),
    ],
)
def test_a_request_says_whose_it_is(
    model_server: ModelServer, client: openai.OpenAI, given: dict[str, Any], label: str | None
) -> None:
    model_server.add(Rule(model="ruled", label="rule"))

    asked: dict[str, Any] = {"model": "m", "messages": ASK, **given}
    client.chat.completions.create(**asked)

    assert model_server.bill.entries[0].label == label


def test_the_bill_over_http_says_the_same_and_can_be_emptied(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(_cost(10), Answer(fail=Failure(status=500)), _cost(20))
    client.chat.completions.create(model="a", messages=ASK, user="lead")
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="a", messages=ASK)
    client.chat.completions.create(model="b", messages=ASK)

    told = httpx.get(f"{model_server.url}/bill").json()
    taken = httpx.delete(f"{model_server.url}/bill").json()

    assert told == taken == json.loads(json.dumps(told))
    assert told["total"]["total_tokens"] == 32
    assert [row["total_tokens"] for row in told["entries"]] == [11, 21]
    assert [(row["model"], row["input_tokens"]) for row in told["by_model"]] == [
        ("a", 10),
        ("b", 20),
    ]
    assert [(row["label"], row["requests"]) for row in told["by_label"]] == [("lead", 1), (None, 1)]
    assert [row["status"] for row in told["refused"]] == [500]
    assert len(told["by_model_and_label"]) == 2
    assert (model_server.bill.entries, model_server.bill.refused) == ((), ())
    assert model_server.bill.total_tokens == 0


def test_many_parallel_clients_are_billed_what_they_were_told(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    def ask(number: int) -> int:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": str(number)}]
        if number % 2:
            answer = client.chat.completions.create(model="m", messages=messages)
            return answer.usage.total_tokens if answer.usage else 0
        stream = client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        return sum(chunk.usage.total_tokens for chunk in stream if chunk.usage)

    with ThreadPoolExecutor(16) as pool:
        told = sum(pool.map(ask, range(120)))

    assert model_server.bill.wait_until_settled()
    bill = model_server.bill
    assert told == bill.total_tokens
    assert len({entry.response_id for entry in bill.entries}) == 120
    assert len({entry.request_id for entry in bill.entries}) == 120
    assert len({entry.total_tokens for entry in bill.entries}) > 20
    assert all((entry.told, entry.ended) == (True, "ok") for entry in bill.entries)


def test_equal_requests_cost_the_same_streamed_or_not(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    client.chat.completions.create(model="m", messages=ASK)
    list(client.chat.completions.create(model="m", messages=ASK, stream=True))

    first, second = model_server.bill.entries
    assert first.usage == second.usage


def test_what_the_client_is_told_can_be_absurd_or_nothing(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    price = Usage(input_tokens=3, output_tokens=2)
    model_server.enqueue(
        Answer(usage=price, usage_as_sent={"prompt_tokens": -7}),
        Answer(usage=price, tells_usage=False),
        Answer(usage=price, response_id="chatcmpl-1"),
    )

    absurd, silent, named = (
        client.chat.completions.create(model="m", messages=ASK) for _ in range(3)
    )

    assert absurd.usage is not None
    assert (absurd.usage.prompt_tokens, absurd.usage.completion_tokens) == (-7, 2)
    assert silent.usage is None
    assert named.id == "chatcmpl-1"
    assert [entry.told for entry in model_server.bill.entries] == [True, False, True]
    assert model_server.bill.total_tokens == 15


def test_a_bill_that_was_emptied_in_mid_stream_stays_empty(
    model_server: ModelServer, client: openai.OpenAI
) -> None:
    model_server.enqueue(Answer(pause_after_chunks=1))
    stream = client.chat.completions.create(
        model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    assert model_server.wait_until_paused()

    taken = model_server.bill.clear()
    model_server.resume()
    list(stream)

    (entry,) = taken.entries
    assert (entry.ended, entry.model) == ("running", "m")
    assert model_server.bill.entries == ()


def test_waiting_for_what_does_not_come_ends(model_server: ModelServer) -> None:
    assert not model_server.bill.wait_until(lambda bill: bool(bill.entries), timeout_s=0.01)
    assert not model_server.wait_until_paused(timeout_s=0.01)
    assert model_server.resume() == 0
