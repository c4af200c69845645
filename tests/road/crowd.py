"""One agent that many conversations use at once; the bill says of each request whose it is."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# LangGraph's types are generic in what an application never names.

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, dynamic_prompt
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig  # noqa: TC002 tools read their annotations
from langchain_core.tools import tool

from tests.road.playing import ANSWERED_MODELS, models
from tokenbeat.testing import Answer, Rule, ToolCall

if TYPE_CHECKING:
    from tokenbeat.testing import ModelServer


def crowd_agent(server: ModelServer) -> Any:
    """A lead with two researchers side by side, a writer, and a middleware that finds a title.

    A conversation's first message is its name, which is on the bill before the caller's path.
    """
    gpt, mini, nano, sonnet, _ = models(server)
    both = (ToolCall(name="research"), ToolCall(name="research"))
    _script(server, "lead_agent", 0, both, (ToolCall(name="write"),), ())
    _script(server, "lead_agent/subagent:researcher", 3, (ToolCall(name="look_up"),), ())
    _script(server, "lead_agent/subagent:writer", 1, ())
    _script(server, "lead_agent/middleware:Title", 2, ())

    @tool
    def look_up() -> str:
        """Looks something up."""
        return "Bees use the sun."

    researcher = create_agent(
        sonnet, [look_up], name="researcher", middleware=[_prompt("lead_agent/subagent:researcher")]
    )
    writer = create_agent(
        mini, [], name="writer", middleware=[_prompt("lead_agent/subagent:writer")]
    )

    @tool
    def research(config: RunnableConfig) -> str:
        """Has something researched, in a thread and event loop of its own."""
        asked: Any = _asked(config)
        thread = threading.Thread(target=lambda: asyncio.run(researcher.ainvoke(asked)))
        thread.start()
        thread.join()
        return "It was researched."

    @tool
    def write(config: RunnableConfig) -> str:
        """Has something written."""
        writer.invoke(_asked(config))
        return "It was written."

    class Title(AgentMiddleware[Any, Any]):
        """Asks for a title before the agent begins."""

        def before_agent(self, state: Any, runtime: Any) -> None:
            del runtime
            name = state["messages"][0].content
            system = f"[bill:{name}#lead_agent/middleware:Title]"
            nano.invoke([SystemMessage(system), HumanMessage("A title?")])

    return create_agent(
        gpt, [research, write], name="lead_agent", middleware=[Title(), _prompt("lead_agent")]
    )


def _asked(config: RunnableConfig) -> Any:
    return {"messages": [HumanMessage(config.get("configurable", {})["thread_id"])]}


def _prompt(path: str) -> Any:
    @dynamic_prompt
    def prompt(request: ModelRequest[Any]) -> str:
        return f"You help. [bill:{request.messages[0].content}#{path}]"

    return prompt


def _script(server: ModelServer, path: str, model: int, *turns: tuple[ToolCall, ...]) -> None:
    for turn, calls in enumerate(turns):
        answer = Answer(tool_calls=calls, model=ANSWERED_MODELS[model])
        server.add(Rule(system_contains=f"#{path}]", turn=turn, answers=(answer,)))
