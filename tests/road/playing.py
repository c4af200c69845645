"""Plays a plan with real agents: langchain's `create_agent`, real clients, a scripted server.

Every system prompt says on whose bill its requests go (``[bill:PATH]``, the path that the books
are expected to show) and which rule of the model server answers them (``[node:N]``), so no rule
depends on the order of requests.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# LangGraph's types are generic in what an application never names.

from __future__ import annotations

import asyncio
import importlib
import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

import anthropic
import openai
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.road.plan import MODELS, Ask, SubAgent
from tokenbeat.testing import Answer, Failure, Rule, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.language_models import BaseChatModel

    from tests.road.plan import Agent, AskHow, EndHow, Middleware, Tree
    from tokenbeat.testing import Bill, ModelServer

KEY: Final = SecretStr("any")
# A connection that breaks in mid-stream is raised by the clients as their transport tells it.
_TRANSPORT_ERRORS: Final[tuple[type[Exception], ...]] = tuple(
    importlib.import_module(name).HTTPError for name in ("httpx", "httpx2") if find_spec(name)
)
PROVIDER_ERRORS: Final[tuple[type[Exception], ...]] = (
    openai.OpenAIError,
    anthropic.AnthropicError,
    *_TRANSPORT_ERRORS,
)
"""What an application sees of a provider's failure. Nothing else may reach it."""

ANSWERED_MODELS: Final = (
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
    "gpt-4.1-nano-2025-04-14",
    "claude-sonnet-9-20261001",
    "claude-haiku-9",
)

# A connection for each request: the clients share a pool of connections over event loops, and one
# whose loop is closed never answers.
_ALONE: Final = {"Connection": "close"}


def models(server: ModelServer) -> tuple[BaseChatModel, ...]:
    """Models of both providers, three APIs, streaming and not."""

    def of_openai(name: str, **options: Any) -> BaseChatModel:
        return ChatOpenAI(
            model=name, base_url=server.openai_url, api_key=KEY, max_retries=0,
            default_headers=_ALONE, **options,
        )  # fmt: skip

    def of_anthropic(name: str, **options: Any) -> BaseChatModel:
        return ChatAnthropic(
            model_name=name, base_url=server.anthropic_url, api_key=KEY, max_retries=0,
            timeout=None, stop=None, default_headers=_ALONE, **options,
        )  # fmt: skip

    return (
        of_openai("gpt-4o", streaming=True, stream_usage=True),
        of_openai("gpt-4o-mini", stream_usage=True),
        of_openai("gpt-4.1-nano", use_responses_api=True),
        of_anthropic("claude-sonnet-9", streaming=True),
        of_anthropic("claude-haiku-9"),
    )


class Player:
    """Builds and runs the agents of plans against one model server."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._models = models(server)
        assert len(self._models) == MODELS == len(ANSWERED_MODELS)
        self._nodes = itertools.count(1)
        self._lock = threading.Lock()
        self._cancelling = threading.Lock()
        self.cached: Counter[str] = Counter()
        """Answers that LangChain's cache gave, by caller."""
        self.cached_tokens = 0
        """What those would have cost."""

    def play(self, tree: Tree) -> None:
        """Runs the tree's lead to its end, whatever happens on the way."""
        lead = self._agent(tree.lead, name="lead_agent", path="lead_agent")
        asked: Any = {"messages": [HumanMessage("How do bees find their way home?")]}

        async def read() -> None:
            async for _ in lead.astream(asked):
                pass

        try:
            if tree.how == "invoke":
                lead.invoke(asked)
            elif tree.how == "ainvoke":
                asyncio.run(lead.ainvoke(asked))
            elif tree.how == "stream":
                for _ in lead.stream(asked):
                    pass
            elif tree.how == "astream":
                asyncio.run(read())
            else:
                lead.batch([asked, asked], return_exceptions=True)
        except PROVIDER_ERRORS:
            return

    def _agent(self, agent: Agent, *, name: str, path: str) -> Any:
        node = next(self._nodes)
        tools: list[StructuredTool] = []
        answered = ANSWERED_MODELS[agent.model]
        for turn, children in enumerate(agent.turns):
            calls: list[ToolCall] = []
            for child in children:
                tool = self._tool(child, path=path)
                tools.append(tool)
                calls.append(ToolCall(name=tool.name, arguments={"question": "Why?"}))
            answer = Answer(tool_calls=tuple(calls), model=answered)
            self._rule(node, answer, turn=turn)
        self._rule(node, _answer(agent.end, model=answered), turn=len(agent.turns))
        return create_agent(
            self._models[agent.model], tools, name=name, system_prompt=_prompt(path, node),
            middleware=[
                self._middleware(one, number=number, path=path)
                for number, one in enumerate(agent.middleware)
            ],
        )  # fmt: skip

    def _middleware(self, plan: Middleware, *, number: int, path: str) -> AgentMiddleware[Any, Any]:
        name = f"Helper{number}"
        ask = self._ask(plan.model, plan.how, path=f"{path}/middleware:{name}")

        def hook(self: object, state: Any, runtime: Any) -> None:
            ask()

        made = type(name, (AgentMiddleware,), {plan.hook: hook})
        return cast("AgentMiddleware[Any, Any]", made())

    def _tool(self, child: Ask | SubAgent, *, path: str) -> StructuredTool:
        name = f"tool{next(self._nodes)}"
        if isinstance(child, Ask):
            work = self._ask(child.model, child.how, path=f"{path}/tool:{name}")
            return _tool(name, work)
        agent = self._agent(child.agent, name=child.name, path=f"{path}/subagent:{child.name}")
        asked: Any = {"messages": [HumanMessage("Why?")]}

        def here() -> None:
            agent.invoke(asked)

        async def awaited() -> None:
            await agent.ainvoke(asked)

        def own_loop() -> None:
            _in_thread(lambda: asyncio.run(awaited()))

        def pool() -> None:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(here).result()

        def batch() -> None:
            agent.batch([asked, asked], return_exceptions=True)

        work = {"here": here, "own_loop": own_loop, "pool": pool, "batch": batch}[child.place]
        return _tool(name, work, awaited=awaited if child.place == "here" else None)

    def _ask(self, number: int, how: AskHow, *, path: str) -> Callable[[], None]:
        node = next(self._nodes)
        self._rule(node, _answer(how, model=ANSWERED_MODELS[number]))
        model = self._models[number]
        asked: Any = [SystemMessage(_prompt(path, node)), HumanMessage("Why?")]
        if how == "left":
            return lambda: _leave(model.stream(asked))
        if how == "broken":
            return lambda: _forget(list(model.stream(asked)))
        if how == "cancelled":
            return lambda: _in_thread(lambda: self._cancel(model, asked, path))
        if how == "cached":
            return lambda: self._ask_twice(model, asked, path)
        return lambda: _forget(model.invoke(asked))

    def _ask_twice(self, model: BaseChatModel, asked: Any, path: str) -> None:
        remembering = model.model_copy(update={"cache": InMemoryCache()})
        remembering.invoke(asked)
        usage = remembering.invoke(asked).usage_metadata
        with self._lock:
            self.cached[path] += 1
            self.cached_tokens += usage["total_tokens"] if usage else 0

    def _cancel(self, model: BaseChatModel, asked: Any, path: str) -> None:
        def running(bill: Bill) -> bool:
            return any(e.label == path and e.ended == "running" for e in bill.entries)

        async def cancel() -> None:
            call = asyncio.create_task(model.ainvoke(asked))
            assert await asyncio.to_thread(self._server.bill.wait_until, running)
            # Before Python 3.12 `wait_for`, which clients use, can swallow a cancellation.
            while not call.done():
                call.cancel()
                await asyncio.wait({call}, timeout=0.2)
            assert call.cancelled()

        # One at a time, so that the request on the bill is this one's and no twin's.
        with self._cancelling:
            asyncio.run(cancel())
            assert self._server.bill.wait_until(lambda bill: not running(bill))

    def _rule(self, node: int, answer: Answer, *, turn: int | None = None) -> None:
        self._server.add(Rule(system_contains=f"[node:{node}]", turn=turn, answers=(answer,)))


def _prompt(path: str, node: int) -> str:
    return f"You help. [bill:{path}] [node:{node}]"


def _answer(how: AskHow | EndHow, *, model: str) -> Answer:
    if how == "silent":
        return Answer(model=model, tells_usage=False)
    if how == "refused":
        return Answer(fail=Failure(status=500))
    if how == "broken":
        return Answer(model=model, cut_after_chunks=2)
    if how == "left":
        return Answer(model=model, pause_after_chunks=1)
    if how == "cancelled":
        return Answer(model=model, pause_after_chunks=0)
    return Answer(model=model)


def _tool(
    name: str, work: Callable[[], None], *, awaited: Callable[[], Any] | None = None
) -> StructuredTool:
    """A tool whose failures stay in it, as one writes tools."""

    def run(question: str) -> str:
        try:
            work()
        except PROVIDER_ERRORS:
            return "It failed."
        return f"Asked: {question}"

    async def arun(question: str) -> str:
        assert awaited is not None
        try:
            await awaited()
        except PROVIDER_ERRORS:
            return "It failed."
        return f"Asked: {question}"

    return StructuredTool.from_function(
        run, None if awaited is None else arun, name=name, description="Asks."
    )


def _forget(answer: object) -> None:
    del answer


def _leave(pieces: Iterator[Any]) -> None:
    for _ in pieces:
        break
    cast("Any", pieces).close()


def _in_thread(work: Callable[[], None]) -> None:
    """Runs it in a bare thread; what it raises is raised here."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 handed over to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
