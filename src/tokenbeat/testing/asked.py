"""What a client asked for, by whichever provider's API, and what that costs by default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tokenbeat.testing.answer import Answer, Usage

Api = Literal[
    "openai.chat_completions",
    "openai.responses",
    "openai.completions",
    "openai.embeddings",
    "anthropic.messages",
]
Operation = Literal["chat", "text_completion", "embeddings"]

_MARKER = re.compile(r"\[bill:([\w.:/#-]{1,128})\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as the script sees it."""

    api: Api
    operation: Operation
    model: str
    stream: bool
    include_usage: bool
    """Whether the client will be told usage: always, but for streams of OpenAI's older APIs."""
    continuous_usage: bool
    """vLLM's ``stream_options.continuous_usage_stats``: each chunk repeats the growing usage."""
    choices: int
    """Candidates per item (``n``)."""
    items: int
    """Prompts or inputs in this one request."""
    turn: int
    """How many answers of the model the conversation already holds."""
    after_tool: bool
    """Whether the last message is a tool's result."""
    system_text: str
    last_text: str
    prompt_characters: int
    """Length of everything that the model reads, tool descriptions included."""
    fingerprint: int
    """32 bits of the request's content, the same for a streamed and a plain request."""
    user: str | None
    """The API's own field for the end user."""
    tag: str | None
    """A label given in the request: header, ``metadata``, or a marker in the system prompt."""


def tag_in(system_text: str) -> str | None:
    """The label of the first ``[bill:LABEL]`` in a system prompt."""
    found = _MARKER.search(system_text)
    return found.group(1) if found else None


def text_for(asked: Asked, *, answer: Answer) -> str:
    """What the model says where the script leaves it open."""
    if answer.text is not None:
        return answer.text
    return "" if answer.tool_calls else f"A scripted answer to request {asked.fingerprint:08x}."


def usage_for(asked: Asked, *, answer: Answer) -> Usage:
    """What the request is billed: as scripted, else derived from its content.

    A token of input is four characters of prompt, plus three for each item. Output is between 5 and
    64 tokens for each choice. Some requests read or write the cache and some reason; the request's
    fingerprint decides. A chat of 400 characters in one item with the fingerprint 0 costs 104 input
    tokens, 52 of them from the cache, and 5 output tokens, 1 of them reasoning.
    """
    if answer.usage is not None:
        return answer.usage
    seed = asked.fingerprint
    input_tokens = 1 + asked.prompt_characters // 4 + 3 * asked.items
    if asked.operation == "embeddings":
        return Usage(input_tokens=input_tokens)
    output_tokens = (5 + seed % 60) * asked.choices * asked.items
    if asked.operation == "text_completion":
        return Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    writes = asked.api == "anthropic.messages"
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=input_tokens // 2 if (seed >> 6) % 3 == 0 else 0,
        cache_write_5m_tokens=input_tokens // 8 if writes and (seed >> 9) % 3 == 0 else 0,
        cache_write_1h_tokens=input_tokens // 9 if writes and (seed >> 12) % 4 == 0 else 0,
        reasoning_tokens=output_tokens // 3 if (seed >> 15) % 4 == 0 else 0,
    )
