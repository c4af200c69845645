"""One request with its chosen answer: everything that a provider's wire format needs to know."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenbeat.testing.answer import Answer, Failure, Usage
    from tokenbeat.testing.asked import Api, Asked
    from tokenbeat.testing.ids import Ids
    from tokenbeat.testing.request_body import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer on its way."""

    asked: Asked
    body: Json
    """The request's body as it came."""
    answer: Answer
    text: str
    usage: Usage
    model: str
    """The answered name."""
    response_id: str
    call_ids: tuple[str, ...]
    """One for each of the answer's tool calls, for each choice."""
    created_s: int
    """Wall clock, seconds since 1970."""
    ids: Ids

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text in as many pieces as the script says; nothing where there is no text."""
        return cut_text(self.text, pieces=self.answer.chunks) if self.text else ()

    def sent(self, usage: Json) -> Json:
        """The usage as the client sees it: with what the script replaces."""
        return {**usage, **(self.answer.usage_as_sent or {})}

    def call_id(self, *, choice: int, place: int) -> str:
        """The id of one tool call of one choice."""
        return self.call_ids[choice * len(self.answer.tool_calls) + place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One server-sent event of a stream."""

    data: str
    name: str | None = None
    is_piece: bool = False
    """Whether it carries content; those are counted by ``cut_after_chunks`` and its kin."""
    is_closing: bool = False
    """Whether all content has been sent: nothing before it belongs to the answer's end."""
    tells_input_tokens: int | None = None
    """What the client knows of the input once it has read this."""
    tells_output_tokens: int | None = None
    """What the client knows of the output once it has read this."""
    tells_final: bool = False
    """Whether that is the final usage."""

    def encoded(self) -> bytes:
        """The event as it stands on the wire."""
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.data}\n\n".encode()


class WireFormat(Protocol):
    """A provider's API: how it is read and written."""

    api: Api
    id_prefix: str
    call_id_prefix: str
    request_id_header: str

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        ...

    def reported(self, reply: Reply) -> Json:
        """The whole usage in the provider's words."""
        ...

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that does not stream."""
        ...

    def events(self, reply: Reply) -> Iterator[Event]:
        """The events of an answer that streams."""
        ...

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """The body of an error."""
        ...

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream that has begun."""
        ...


def cut_text(text: str, *, pieces: int) -> tuple[str, ...]:
    """Cut a text into nearly equal pieces that make up the text again.

    ``cut_text("abcdefg", pieces=3)`` is ``("ab", "cd", "efg")``; a text shorter than the number of
    pieces has empty ones among them.
    """
    bounds = [len(text) * place // pieces for place in range(pieces + 1)]
    return tuple(text[start:end] for start, end in itertools.pairwise(bounds))


def compact(value: Mapping[str, Any]) -> str:
    """JSON as providers send it: without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
