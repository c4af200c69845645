"""A research agent as anybody would write it. Nothing in this file knows that it is counted.

A lead hands questions to a researcher (on a thread and event loop of its own) and the text to a
writer; a middleware asks a small model for a title first. Models are named on the command line.
"""

# LangGraph's types are generic in what an application never names.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import argparse
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

LEAD = "You are the lead. Have things researched, then written, then answer."
RESEARCHER = "You are the researcher. Search, then report what you found."
WRITER = "You are the writer. Turn notes into a paragraph."
TITLE = "Give this conversation a title."


def chat_model(name: str, *, most_tokens: int | None) -> BaseChatModel:
    """A streaming model by ``provider:model``; asks for usage where the provider needs asking."""
    options: dict[str, Any] = {"streaming": True}
    if name.startswith("openai:"):
        options["stream_usage"] = True
    if most_tokens is not None:
        options["max_tokens"] = most_tokens
    model: BaseChatModel = init_chat_model(name, **options)
    return model


class TitleMiddleware(AgentMiddleware[Any, Any]):
    """Asks a small model for a title before the agent begins."""

    def __init__(self, model: BaseChatModel) -> None:
        super().__init__()
        self._model = model

    def before_agent(self, state: Any, runtime: Any) -> None:  # noqa: ANN401 the framework's types
        """See LangChain's ``AgentMiddleware.before_agent``."""
        del runtime
        question = state["messages"][-1].text
        self._model.invoke([SystemMessage(TITLE), HumanMessage(question)])


def research_agent(models: dict[str, str], *, most_tokens: int | None) -> Any:  # noqa: ANN401 a compiled graph
    """The lead with its tools, its sub-agents and its middleware."""
    # The researcher lives on a thread and event loop of its own, as long-running sub-agents do.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="researchers", daemon=True).start()
    chat = {role: chat_model(name, most_tokens=most_tokens) for role, name in models.items()}

    @tool
    def search(query: str) -> str:
        """Look something up."""
        return f"Three pages about {query}."

    researcher = create_agent(
        chat["researcher"], [search], system_prompt=RESEARCHER, name="researcher"
    )
    writer = create_agent(chat["writer"], [], system_prompt=WRITER, name="writer")

    @tool
    def research(question: str) -> str:
        """Have a question researched."""
        answer = researcher.ainvoke({"messages": [HumanMessage(question)]})
        return str(asyncio.run_coroutine_threadsafe(answer, loop).result()["messages"][-1].text)

    @tool
    def write(notes: str) -> str:
        """Have notes turned into a text."""
        return str(writer.invoke({"messages": [HumanMessage(notes)]})["messages"][-1].text)

    return create_agent(
        chat["lead"], [research, write], system_prompt=LEAD, name="lead_agent",
        middleware=[TitleMiddleware(chat["title"])],
    )  # fmt: skip


def main() -> None:
    """Answers a question so many times, all at once if asked to."""
    parser = argparse.ArgumentParser(description="A research agent.")
    for role in ("lead", "researcher", "writer", "title"):
        parser.add_argument(f"--{role}", default="openai:gpt-4o-mini", metavar="PROVIDER:MODEL")
    parser.add_argument("--question", default="How do bees find their way home?")
    parser.add_argument("--runs", type=int, default=1, help="how many conversations")
    parser.add_argument("--parallel", type=int, default=1, help="how many of them at once")
    parser.add_argument("--max-tokens", type=int, help="the most output tokens of a call")
    chosen = vars(parser.parse_args())
    models = {role: chosen[role] for role in ("lead", "researcher", "writer", "title")}
    agent = research_agent(models, most_tokens=chosen["max_tokens"])

    def converse(number: int) -> None:
        question = {"messages": [HumanMessage(f"{chosen['question']} ({number})")]}
        for _ in agent.stream(question, {"configurable": {"thread_id": f"thread-{number}"}}):
            pass

    with ThreadPoolExecutor(chosen["parallel"]) as pool:
        for _ in pool.map(converse, range(chosen["runs"])):
            pass


if __name__ == "__main__":
    main()
