"""What the demo's model server answers, and whose bill each request goes on."""

from __future__ import annotations

from typing import Final

from tokenbeat.demo import prompts
from tokenbeat.testing import Answer, Rule, Script, ToolCall, Usage

LEAD: Final = "lead_agent"
RESEARCHER: Final = "lead_agent/subagent:researcher"
WRITER: Final = "lead_agent/subagent:writer"
TITLE: Final = "lead_agent/middleware:TitleMiddleware"

MODELS: Final = {
    "lead": "openai:gpt-4o",
    "researcher": "anthropic:claude-sonnet-4-5",
    "writer": "openai:gpt-4o-mini",
    "title": "openai:gpt-4.1-nano",
}
"""Four models of two providers."""

_REPORT = "They take bearings from the sun and remember landmarks. " * 3
_TEXT = "A bee that leaves the hive turns round, looks back, and learns what home looks like. " * 2
_ANSWER = "Bees find home by the sun, by landmarks, and by the smell of their own hive. " * 2


def script(*, chunk_delay_s: float) -> Script:
    """The conversation: a title, two questions researched side by side, a text, an answer.

    Args:
        chunk_delay_s: How long the server waits before each piece of a stream, in seconds.
    """

    def say(text: str, usage: Usage, *, model: str, tools: tuple[ToolCall, ...] = ()) -> Answer:
        return Answer(
            text=text, tool_calls=tools, usage=usage, model=model, chunks=12,
            chunk_delay_s=chunk_delay_s,
        )  # fmt: skip

    gpt_4o, mini, nano = "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4.1-nano-2025-04-14"
    claude = "claude-sonnet-4-5-20250929"
    questions = tuple(
        ToolCall(name="research", arguments={"question": question})
        for question in ("How do bees use the sun?", "Do bees know landmarks?")
    )
    lead = (
        say("", Usage(input_tokens=412, output_tokens=58), model=gpt_4o, tools=questions),
        say(
            "", Usage(input_tokens=903, output_tokens=71, cache_read_tokens=384), model=gpt_4o,
            tools=(ToolCall(name="write", arguments={"notes": _REPORT}),),
        ),
        say(
            _ANSWER, Usage(input_tokens=1_268, output_tokens=164, cache_read_tokens=896),
            model=gpt_4o,
        ),
    )  # fmt: skip
    researcher = (
        say(
            "", Usage(input_tokens=530, output_tokens=44, cache_write_5m_tokens=310), model=claude,
            tools=(ToolCall(name="search", arguments={"query": "bees"}),),
        ),
        say(
            _REPORT, Usage(input_tokens=688, output_tokens=213, cache_read_tokens=310),
            model=claude,
        ),
    )  # fmt: skip
    writer = say(_TEXT, Usage(input_tokens=341, output_tokens=252, reasoning_tokens=96), model=mini)
    title = say("How bees find home", Usage(input_tokens=37, output_tokens=6), model=nano)
    return Script(
        rules=(
            *_turns(prompts.LEAD, LEAD, lead),
            *_turns(prompts.RESEARCHER, RESEARCHER, researcher),
            *_turns(prompts.WRITER, WRITER, (writer,)),
            *_turns(prompts.TITLE, TITLE, (title,)),
        ),
        default=Answer(chunk_delay_s=chunk_delay_s),
    )


def _turns(system: str, label: str, answers: tuple[Answer, ...]) -> tuple[Rule, ...]:
    return tuple(
        Rule(system_contains=system, label=label, turn=turn, answers=(answer,))
        for turn, answer in enumerate(answers)
    )
