"""langchain-openai and langchain-anthropic against a server that keeps a bill: totals are equal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAI

from tokenbeat.testing import Answer, Failure, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.ledger.report import Report
    from tokenbeat.testing import ModelServer

Totals = Any
KEY: Any = "any"
RICH = Usage(input_tokens=100, cache_read_tokens=30, output_tokens=40, reasoning_tokens=15)
CACHED = Usage(
    input_tokens=1200, cache_read_tokens=900, cache_write_5m_tokens=150, cache_write_1h_tokens=50,
    output_tokens=50,
)  # fmt: skip


class Clients:
    """Real clients for the server; what they hold open is closed in the loop that it belongs to."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._open: list[Any] = []
        self._open_sync: list[Any] = []

    def openai(self, **settings: Any) -> ChatOpenAI:
        settings.setdefault("model", "gpt-4o")
        model = ChatOpenAI(base_url=self._server.openai_url, api_key=KEY, max_retries=0, **settings)
        self._open.append(model.root_async_client)
        return model

    def text(self) -> OpenAI:
        model = OpenAI(
            model="gpt-3.5-turbo-instruct", base_url=self._server.openai_url, api_key=KEY,
            max_retries=0,
        )  # fmt: skip
        self._open.append(model.async_client._client)
        self._open_sync.append(model.client._client)
        return model

    def anthropic(self, **settings: Any) -> ChatAnthropic:
        model = ChatAnthropic(
            model_name="claude-scripted-1", base_url=self._server.anthropic_url, api_key=KEY,
            max_retries=0, **settings,
        )  # fmt: skip
        self._open.append(model._async_client)
        return model

    async def close(self) -> None:
        for client in self._open:
            await client.close()
        for client in self._open_sync:
            client.close()


@pytest.fixture
async def clients(model_server: ModelServer) -> AsyncIterator[Clients]:
    made = Clients(model_server)
    yield made
    await made.close()


@pytest.fixture
def openai(clients: Clients) -> Callable[..., ChatOpenAI]:
    return clients.openai


@pytest.fixture
def anthropic(clients: Clients) -> Callable[..., ChatAnthropic]:
    return clients.anthropic


class Ended:
    """Keeps the reports that ended."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def call_started(self, report: Report) -> None: ...

    def call_ended(self, report: Report) -> None:
        self.reports.append(report)

    def call_entered(self, report: Report, counts: Any) -> None: ...

    def call_raised(self, report: Report, counts: Any) -> None: ...


@pytest.fixture
def ended(tokenbeat_ledger: Ledger) -> list[Report]:
    watcher = Ended()
    tokenbeat_ledger.subscribe(watcher)
    return watcher.reports


@pytest.fixture
def as_billed(model_server: ModelServer, totals: Totals) -> Callable[[], None]:
    """Everything that the server billed is counted, once, and nothing else."""

    def check() -> None:
        bill, told = model_server.bill, totals()
        assert told["ok"] == len(bill.entries)
        assert told["input_tokens"] == bill.input_tokens
        assert told["output_tokens"] == bill.output_tokens

    return check


async def _all_ways(model: Any) -> None:
    model.invoke("a")
    await model.ainvoke("b")
    assert list(model.stream("c"))
    assert [chunk async for chunk in model.astream("d")]
    model.batch(["e", "f"])
    await model.abatch(["g", "h"])
    model.generate([[HumanMessage("i")], [HumanMessage("j")]])
    await model.agenerate([[HumanMessage("k")], [HumanMessage("l")]])


# langchain-openai warns of details that are None when it adds two of its own usages up.
@pytest.mark.filterwarnings("ignore:Unexpected type for token usage")
async def test_openai_chat_in_every_way_is_counted_as_billed(
    openai: Any, as_billed: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(*[Answer(usage=RICH) for _ in range(12)])
    await _all_ways(openai(stream_usage=True))
    as_billed()
    assert totals()["cache_read_tokens"] == 12 * 30
    assert totals()["reasoning_tokens"] == 12 * 15


async def test_openai_responses_in_every_way_are_counted_as_billed(
    openai: Any, as_billed: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(*[Answer(usage=RICH) for _ in range(12)])
    await _all_ways(openai(use_responses_api=True))
    as_billed()
    assert totals()["cache_read_tokens"] == 12 * 30


async def test_anthropic_in_every_way_is_counted_as_billed(
    anthropic: Any, as_billed: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(*[Answer(usage=CACHED) for _ in range(12)])
    await _all_ways(anthropic())
    as_billed()
    assert totals()["cache_read_tokens"] == 12 * 900
    assert totals()["cache_write_tokens"] == 12 * 200


def test_several_candidates_of_one_request_are_billed_once(
    openai: Any, as_billed: Any, totals: Totals, model_server: ModelServer, ended: list[Report]
) -> None:
    model_server.enqueue(Answer(usage=Usage(input_tokens=100, output_tokens=40)))
    openai(n=2).generate([[HumanMessage("hi")]])
    as_billed()
    assert totals()["ok"] == 1
    (report,) = ended
    assert report.response_model == "gpt-4o"
    assert report.request_params is not None
    assert report.request_params["gen_ai.request.choice.count"] == 2
    assert report.finish_reasons == ("stop", "stop")


async def test_text_completions_are_counted_as_billed(
    clients: Clients, as_billed: Any, totals: Totals, tokenbeat_ledger: Ledger
) -> None:
    model = clients.text()
    model.invoke("a")
    await model.ainvoke("b")
    as_billed()
    (cell,) = tokenbeat_ledger.snapshot().cells
    assert cell.key.operation == "text_completion"
    assert cell.key.provider == "openai"


@pytest.mark.parametrize("awaited", [False, True])
async def test_prompts_of_one_text_completion_request_are_items_of_one_call(
    awaited: bool,  # noqa: FBT001 a parameter of the test
    clients: Clients,
    model_server: ModelServer,
    as_billed: Any,
    totals: Totals,
) -> None:
    model_server.enqueue(Answer(usage=Usage(input_tokens=30, output_tokens=12)))
    model = clients.text()
    if awaited:
        await model.agenerate(["a", "b", "c"])
    else:
        model.generate(["a", "b", "c"])
    as_billed()
    assert (totals()["ok"], totals()["with_usage"], totals()["items"]) == (1, 1, 3)


def test_a_text_completion_request_that_fails_is_one_failed_attempt(
    clients: Clients, model_server: ModelServer, totals: Totals
) -> None:
    model_server.enqueue(Answer(fail=Failure(status=500)))
    model = clients.text()
    with pytest.raises(Exception, match="500"):
        model.generate(["a", "b", "c"])
    assert totals() == {"failed_attempts": 1}


def test_a_stream_without_usage_is_a_call_of_unknown_usage(
    openai: Any, totals: Totals, model_server: ModelServer
) -> None:
    list(openai(stream_usage=False).stream("hi"))
    assert totals() == {"ok": 1, "items": 1}
    assert len(model_server.bill.entries) == 1


def test_what_is_known_of_a_call_stands_in_its_report(
    openai: Any, anthropic: Any, model_server: ModelServer, ended: list[Report]
) -> None:
    model_server.enqueue(Answer(model="gpt-4o-2024-08-06", response_id="chatcmpl-Aq8Zx1Bv7Cn2Dm9E"))
    openai(temperature=0.25, top_p=0.5, max_completion_tokens=77, seed=3).invoke("hi")
    list(openai(stream_usage=True).stream("hi"))
    anthropic(max_tokens=99).invoke("hi")
    chat, streamed, message = ended
    assert chat.provider == "openai"
    assert chat.request_model == "gpt-4o"
    assert chat.response_model == "gpt-4o-2024-08-06"
    assert chat.response_id == "chatcmpl-Aq8Zx1Bv7Cn2Dm9E"
    assert chat.finish_reasons == ("stop",)
    assert chat.request_params == {
        "gen_ai.request.temperature": 0.25, "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 77, "gen_ai.request.seed": 3,
    }  # fmt: skip
    assert chat.server_address == "127.0.0.1"
    assert streamed.response_model == "gpt-4o"
    assert streamed.stream
    assert not chat.stream
    assert message.provider == "anthropic"
    assert message.request_model == "claude-scripted-1"
    assert message.response_id is not None
    assert message.response_id.startswith("msg_")
    assert message.finish_reasons == ("end_turn",)
    assert message.request_params is not None
    assert message.request_params["gen_ai.request.max_tokens"] == 99


def test_a_refused_request_is_a_failed_attempt(
    openai: Any, totals: Totals, model_server: ModelServer, ended: list[Report]
) -> None:
    model_server.enqueue(Answer(fail=Failure(status=429)))
    with pytest.raises(Exception, match="429"):
        openai().invoke("hi")
    assert totals() == {"failed_attempts": 1}
    assert ended[0].error_type is not None
    assert ended[0].error_type.endswith("RateLimitError")


def test_a_stream_that_fails_on_its_way_is_a_failed_attempt_if_nothing_was_told(
    openai: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(Answer(fail=Failure(after_chunks=2)))
    with pytest.raises(Exception, match="scripted provider failed"):
        list(openai(stream_usage=True).stream("hi"))
    assert totals() == {"failed_attempts": 1}


async def test_a_cancelled_call_is_entered_and_the_server_billed_it(
    openai: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(Answer(pause_after_chunks=0))
    task = asyncio.create_task(openai().ainvoke("hi"))
    assert await asyncio.to_thread(model_server.wait_until_paused)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert totals() == {"cancelled": 1, "items": 1}
    assert len(model_server.bill.entries) == 1


async def test_a_cancelled_stream_is_entered(
    openai: Any, totals: Totals, model_server: ModelServer
) -> None:
    model_server.enqueue(Answer(pause_after_chunks=2, text="a b c d e f", chunks=6))

    async def read() -> None:
        async for _ in openai(stream_usage=True).astream("hi"):
            pass

    task = asyncio.create_task(read())
    assert await asyncio.to_thread(model_server.wait_until_paused)
    while not task.done():  # up to Python 3.11 `wait_for` swallows one that comes with a chunk
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert totals() == {"cancelled": 1, "items": 1}


def test_structured_output_is_a_call_in_a_chain(
    openai: Any, spent: Any, model_server: ModelServer
) -> None:
    schema = {
        "title": "answer", "type": "object", "description": "An answer.",
        "properties": {"text": {"type": "string"}}, "required": ["text"],
    }  # fmt: skip
    model_server.enqueue(
        Answer(text='{"text": "x"}', usage=Usage(input_tokens=10, output_tokens=5))
    )
    openai().with_structured_output(schema, method="json_mode").invoke("json")
    assert spent() == {"chain:RunnableSequence": (1, 10, 5)}


@pytest.mark.filterwarnings("ignore:astream_events version")
async def test_events_of_a_model_are_counted_once(
    openai: Any, as_billed: Any, model_server: ModelServer
) -> None:
    model_server.enqueue(*[Answer(usage=RICH) for _ in range(2)])
    model = openai(stream_usage=True)
    for version in ("v1", "v2"):  # newer versions say that the first is deprecated
        assert [event async for event in model.astream_events("hi", version=version)]
    as_billed()
