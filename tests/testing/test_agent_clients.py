"""LangChain's clients and agents, sync, async and streaming, read what the bill says."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from tokenbeat.testing import Answer, Rule, ToolCall, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tokenbeat.testing import ModelServer

DETAILED = Usage(
    input_tokens=100,
    output_tokens=50,
    cache_read_tokens=40,
    cache_write_5m_tokens=20,
    reasoning_tokens=30,
)
KEY = SecretStr("any")


def _models(server: ModelServer) -> dict[str, BaseChatModel]:
    return {
        "openai chat": ChatOpenAI(
            model="gpt-4o",
            base_url=server.openai_url,
            api_key=KEY,
            stream_usage=True,
            max_retries=0,
        ),
        "openai responses": ChatOpenAI(
            model="gpt-4o",
            base_url=server.openai_url,
            api_key=KEY,
            use_responses_api=True,
            max_retries=0,
        ),
        "anthropic": ChatAnthropic(
            model_name="claude-sonnet-4",
            base_url=server.anthropic_url,
            api_key=KEY,
            timeout=None,
            stop=None,
            max_retries=0,
        ),
    }


@pytest.fixture(params=["openai chat", "openai responses", "anthropic"])
def model(request: pytest.FixtureRequest, model_server: ModelServer) -> BaseChatModel:
    return _models(model_server)[request.param]


def _counts(message: Any) -> tuple[int, int, int, int]:
    usage = message.usage_metadata
    return (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["total_tokens"],
        usage["input_token_details"]["cache_read"],
    )


def _said(message: Any) -> str:
    """The text, which was a method before LangChain 1."""
    return message.text if isinstance(message.text, str) else message.text()


def test_every_way_to_call_a_model_reads_the_billed_usage(
    model_server: ModelServer, model: BaseChatModel
) -> None:
    model_server.enqueue(*[Answer(text="Well then.", usage=DETAILED)] * 4)

    async def both() -> list[Any]:
        streamed: AIMessageChunk | None = None
        async for chunk in model.astream("hello"):
            assert isinstance(chunk, AIMessageChunk)
            streamed = chunk if streamed is None else streamed + chunk
        return [await model.ainvoke("hello"), streamed]

    pieces = list(model.stream("hello"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    messages = [model.invoke("hello"), whole, *asyncio.run(both())]

    assert [_counts(message) for message in messages] == [(100, 50, 150, 40)] * 4
    assert [_said(message) for message in messages] == ["Well then."] * 4
    assert model_server.bill.wait_until_settled()
    assert model_server.bill.total_tokens == 600
    assert [entry.stream for entry in model_server.bill.entries].count(True) == 2
    assert all(entry.told for entry in model_server.bill.entries)


@tool
def search(query: str) -> str:
    """Search for something."""
    return f"found {query}"


def _agent(model: BaseChatModel, *, system_prompt: str) -> Any:
    """An agent with one tool, made by what the installed LangChain has for it."""
    agents: Any = importlib.import_module("langchain.agents")
    if hasattr(agents, "create_agent"):
        return agents.create_agent(model, [search], system_prompt=system_prompt)
    prebuilt: Any = importlib.import_module("langgraph.prebuilt")
    return prebuilt.create_react_agent(model, [search], prompt=system_prompt)


@pytest.mark.parametrize("streaming", [False, True])
def test_agents_call_tools_and_their_messages_add_up_to_the_bill(
    model_server: ModelServer, model: BaseChatModel, *, streaming: bool
) -> None:
    calls = (ToolCall(name="search", arguments={"query": "tokens"}),)
    model_server.add(
        Rule(system_contains="lead", turn=0, label="first", answers=(Answer(tool_calls=calls),)),
        Rule(after_tool=True, turn=1, label="second", answers=(Answer(text="Done."),)),
    )
    agent = _agent(model, system_prompt="You are the lead.")
    asked = {"messages": [HumanMessage("Find tokens.")]}

    if streaming:
        messages: list[Any] = [
            message
            for update in agent.stream(asked, stream_mode="updates")
            for part in update.values()
            for message in part["messages"]
        ]
    else:
        messages = agent.invoke(asked)["messages"]

    spoken = [message for message in messages if isinstance(message, AIMessage)]
    assert spoken[0].tool_calls[0]["args"] == {"query": "tokens"}
    assert _said(spoken[-1]) == "Done."
    assert sum(_counts(message)[2] for message in spoken) == model_server.bill.total_tokens
    assert {label: total.requests for label, total in model_server.bill.by_label().items()} == {
        "first": 1,
        "second": 1,
    }


def test_parallel_agents_are_told_what_they_are_billed(
    model_server: ModelServer, model: BaseChatModel
) -> None:
    calls = (ToolCall(name="search", arguments={"query": "tokens"}),)
    model_server.add(Rule(turn=0, answers=(Answer(tool_calls=calls),)))
    agent = _agent(model, system_prompt="You are one of many.")

    def run(number: int) -> int:
        answer = agent.invoke({"messages": [HumanMessage(f"Find {number}.")]})
        spoken = [one for one in answer["messages"] if isinstance(one, AIMessage)]
        assert len(spoken) == 2
        return sum(_counts(message)[2] for message in spoken)

    with ThreadPoolExecutor(8) as pool:
        told = sum(pool.map(run, range(16)))

    assert told == model_server.bill.total_tokens
    assert model_server.bill.total.requests == 32


def test_text_models_and_embeddings_are_billed_too(model_server: ModelServer) -> None:
    url = model_server.openai_url
    text_model = OpenAI(model="i", base_url=url, api_key=KEY, max_retries=0)
    vectors = OpenAIEmbeddings(
        model="e", base_url=url, api_key=KEY, max_retries=0, check_embedding_ctx_length=False
    )

    answer = text_model.generate(["one", "two"])
    vectors.embed_documents(["one", "two"])

    assert answer.llm_output is not None
    first, second = model_server.bill.entries
    assert answer.llm_output["token_usage"]["total_tokens"] == first.total_tokens
    assert (first.operation, first.items) == ("text_completion", 2)
    assert (second.operation, second.items) == ("embeddings", 2)
