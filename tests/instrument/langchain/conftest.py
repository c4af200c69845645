"""Scripted models of langchain-core's own kind, and short readings of the books."""

# ruff: noqa: ARG002 LangChain decides what it passes
# LangGraph has no stubs.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import threading
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import PrivateAttr

from tokenbeat.usage.counts import COUNT_FIELDS, INPUT, OUTPUT, finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.callbacks import CallbackManagerForLLMRun

    from tokenbeat.ledger.books import Ledger


def _has_create_agent() -> bool:
    try:
        return int(version("langchain").split(".")[0]) >= 1
    except PackageNotFoundError:
        return False


# `create_agent` and its middleware came with langchain 1.
collect_ignore = [] if _has_create_agent() else ["test_agents.py", "test_middleware.py"]


class ScriptedModel(BaseChatModel):
    """Answers what it was given, one after the other; an exception among them is raised."""

    script: list[Any]
    model: str = "scripted-1"
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _next(self) -> AIMessage:
        with self._lock:
            answer = self.script.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, AIMessage)
        return answer

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next())])


class StreamingModel(ScriptedModel):
    """The same, word by word; usage comes with the last word, or as ``chunk_usages`` say."""

    chunk_usages: list[Any] | None = None

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._next()
        words = str(answer.content).split()
        for index, word in enumerate(words):
            usage: Any = answer.usage_metadata if index == len(words) - 1 else None
            if self.chunk_usages is not None:
                usage = self.chunk_usages[index]
            if isinstance(usage, BaseException):
                raise usage
            chunk = ChatGenerationChunk(
                message=AIMessageChunk(
                    content=word, usage_metadata=usage, response_metadata=answer.response_metadata
                )
            )
            if run_manager is not None:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk


@pytest.fixture
def said() -> Callable[..., AIMessage]:
    """An answer that used so much: ``said(10, 5)``."""

    def make(
        input_tokens: int, output_tokens: int, text: str = "so it is", **more: Any
    ) -> AIMessage:
        return AIMessage(
            content=text,
            usage_metadata={
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "total_tokens": input_tokens + output_tokens,
            },
            **more,
        )

    return make


@pytest.fixture
def scripted() -> Callable[..., BaseChatModel]:
    """A model that gives these answers: ``scripted(said(10, 5), ValueError())``."""

    def make(*answers: Any, model: str = "scripted-1") -> BaseChatModel:
        return ScriptedModel(script=list(answers), model=model)

    return make


@pytest.fixture
def streaming() -> Callable[..., BaseChatModel]:
    """The same as a model that streams."""

    def make(
        *answers: Any, model: str = "scripted-1", chunk_usages: list[Any] | None = None
    ) -> BaseChatModel:
        return StreamingModel(script=list(answers), model=model, chunk_usages=chunk_usages)

    return make


@pytest.fixture
def spent(tokenbeat_ledger: Ledger) -> Callable[[], dict[str, tuple[int, int, int]]]:
    """Finished calls, input and output by caller."""

    def read() -> dict[str, tuple[int, int, int]]:
        told: dict[str, tuple[int, int, int]] = {}
        for cell in tokenbeat_ledger.snapshot().cells:
            calls, input_tokens, output_tokens = told.get(cell.key.caller, (0, 0, 0))
            told[cell.key.caller] = (
                calls + finished(cell.counts),
                input_tokens + cell.counts[INPUT],
                output_tokens + cell.counts[OUTPUT],
            )
        return told

    return read


@pytest.fixture
def totals(tokenbeat_ledger: Ledger) -> Callable[[], dict[str, int]]:
    """Everything that is counted and not 0, by the field's name."""

    def read() -> dict[str, int]:
        counts = tokenbeat_ledger.snapshot().totals
        return {name: count for name, count in zip(COUNT_FIELDS, counts, strict=True) if count}

    return read


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], bool]:
    """Waits a short while until something holds: for what another thread does."""

    def wait(holds: Callable[[], bool], *, timeout_s: float = 5.0) -> bool:
        event = threading.Event()
        for _ in range(int(timeout_s / 0.005)):
            if holds():
                return True
            event.wait(0.005)
        return holds()

    return wait


@pytest.fixture
def graph_of() -> Callable[..., Any]:
    """Makes a graph that runs these nodes one after the other."""

    def make(name: str | None = None, **nodes: Any) -> Any:
        builder: Any = StateGraph(MessagesState)
        before: Any = START
        for node, body in nodes.items():
            builder.add_node(node, body)
            builder.add_edge(before, node)
            before = node
        return builder.compile(name=name) if name else builder.compile()

    return make


@pytest.fixture
def asking(scripted: Any, said: Any) -> Any:
    """A node that asks a model, which uses 10 and 5."""

    def make(input_tokens: int = 10, output_tokens: int = 5, times: int = 8) -> Any:
        model = scripted(*[said(input_tokens, output_tokens) for _ in range(times)])

        def ask(state: Any) -> Any:
            return {"messages": [model.invoke("hi")]}

        return ask

    return make


@pytest.fixture
def awaiting(scripted: Any, said: Any) -> Any:
    """The same as a coroutine."""

    def make(input_tokens: int = 10, output_tokens: int = 5) -> Any:
        model = scripted(*[said(input_tokens, output_tokens) for _ in range(8)])

        async def ask(state: Any) -> Any:
            return {"messages": [await model.ainvoke("hi")]}

        return ask

    return make
