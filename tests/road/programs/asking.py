"""An agent as its user would write it. Without ``--start`` it knows nothing of its being counted.

Prints ``asked`` after its first questions and ``done`` before it ends.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# LangGraph's types are generic in what an application never names.

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any


def note_modules(path: Path) -> None:
    """At the very end: everything that was imported."""
    atexit.register(lambda: path.write_text("\n".join(sorted(sys.modules)), encoding="utf-8"))


def agent() -> Any:
    """A lead with a tool that has a sub-agent."""
    from langchain.agents import create_agent  # noqa: PLC0415 an idle process imports nothing
    from langchain_core.tools import tool  # noqa: PLC0415
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    model = ChatOpenAI(model="gpt-4o", streaming=True, stream_usage=True)
    helper: Any = create_agent(
        model,
        [],
        name="helper",
        system_prompt="[bill:lead_agent/subagent:helper] [helper]",
    )

    @tool
    def ask() -> str:
        """Asks the helper."""
        helper.invoke({"messages": [("human", "Why?")]})
        return "Asked."

    return create_agent(model, [ask], name="lead_agent", system_prompt="[bill:lead_agent] [lead]")


def say(word: str) -> None:
    """Tells the test how far it is."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    """Asks some times, and ends as it was told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", action="store_true", help="turn counting on from code")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--modules", type=Path)
    parser.add_argument("--then", choices=["exit", "wait", "fork"], default="exit")
    chosen = parser.parse_args()
    if chosen.modules is not None:
        note_modules(chosen.modules)
    if chosen.start:
        import tokenbeat  # noqa: PLC0415 only where it is asked for

        tokenbeat.start()
    if chosen.times:
        asking = agent()
        question = {"messages": [("human", "How do bees find their way home?")]}
        for _ in range(chosen.times):
            asking.invoke(question)
        say("asked")
        if chosen.then == "fork":
            fork(lambda: asking.invoke(question))
    if chosen.then == "wait":
        threading.Event().wait()
    say("done")


def fork(ask: Any) -> None:
    """Two workers ask once each and end as workers do: one by ``os._exit``, one by a signal."""
    import tokenbeat  # noqa: PLC0415 a prefork server's hook would do this

    for by_signal in (False, True):
        worker = os.fork()
        if not worker:
            ask()
            tokenbeat.flush(20)
            if by_signal:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        os.waitpid(worker, 0)
    ask()


if __name__ == "__main__":
    main()
