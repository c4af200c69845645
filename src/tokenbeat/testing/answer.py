"""One scripted answer: what the model says, what that is billed, and how it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from tokenbeat.testing.errors import ImpossibleScriptedUsage, MalformedScript

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a request is billed, in tokens. Every field is an ``int`` >= 0.

    Wholes are inclusive, whatever the provider's own API does: Anthropic's clients are told
    ``input_tokens - cache_read_tokens - cache_write_tokens`` as input, because that API puts cached
    input beside input. For example ``Usage(input_tokens=17, cache_read_tokens=4,
    cache_write_5m_tokens=3)`` is sent to an OpenAI client as 17 prompt tokens of which 4 are
    cached, and to an Anthropic client as 10 input, 4 cache read and 3 cache creation.

    Raises:
        ImpossibleScriptedUsage: a count is negative or no ``int``, or a part exceeds its whole.
    """

    input_tokens: int = 0
    """All input, cached input included."""
    output_tokens: int = 0
    """All output of all choices, reasoning included."""
    cache_read_tokens: int = 0
    """Part of ``input_tokens`` that came from the provider's prompt cache."""
    cache_write_5m_tokens: int = 0
    """Part of ``input_tokens`` written to the cache for five minutes."""
    cache_write_1h_tokens: int = 0
    """Part of ``input_tokens`` written to the cache for one hour."""
    audio_input_tokens: int = 0
    """Part of ``input_tokens`` that was audio."""
    reasoning_tokens: int = 0
    """Part of ``output_tokens`` that was reasoning."""
    audio_output_tokens: int = 0
    """Part of ``output_tokens`` that was audio."""
    unclassified_tokens: int = 0
    """What the reported total has beyond input and output (OpenAI's shapes only)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for one in fields(self):
            value: object = getattr(self, one.name)
            if type(value) is not int or value < 0:
                raise ImpossibleScriptedUsage(field=one.name, value=value, limit="an int >= 0")
        self._check_part(
            "cache_read_tokens + cache_write_tokens",
            part_tokens=self.cache_read_tokens + self.cache_write_tokens,
            whole="input_tokens",
        )
        for part, whole in _PARTS:
            self._check_part(part, part_tokens=getattr(self, part), whole=whole)

    def _check_part(self, name: str, *, part_tokens: int, whole: str) -> None:
        whole_tokens: int = getattr(self, whole)
        if part_tokens > whole_tokens:
            raise ImpossibleScriptedUsage(
                field=name, value=part_tokens, limit=f"at most {whole} ({whole_tokens})"
            )

    @property
    def cache_write_tokens(self) -> int:
        """Both kinds of cache write together."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def total_tokens(self) -> int:
        """Input + output + unclassified: each token once."""
        return self.input_tokens + self.output_tokens + self.unclassified_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add field by field."""
        return Usage(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )


_PARTS = (
    ("audio_input_tokens", "input_tokens"),
    ("reasoning_tokens", "output_tokens"),
    ("audio_output_tokens", "output_tokens"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A provider's error.

    ``after_chunks`` is ``None`` for an error before the first byte: it is answered with ``status``
    and ``headers`` and nothing is billed. Otherwise the error comes in a stream that has already
    begun, after so many pieces of content, in the form that the provider uses there; the whole
    answer is billed. A request that does not stream is then answered with ``status``, and billed.
    """

    status: int = 500
    """HTTP status, 400 to 599; in a stream it chooses the error's type only."""
    message: str = "The scripted provider failed."
    type: str | None = None
    """The error's type; by default what the provider says for ``status``."""
    code: str | None = None
    """OpenAI's error code."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers of the answer, such as ``{"Retry-After": "1"}``."""
    after_chunks: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be sent."""
        if not 400 <= self.status <= 599:
            raise MalformedScript(field="fail.status", problem="not between 400 and 599")
        _not_negative("fail.after_chunks", self.after_chunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    """JSON values by parameter name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server answers to one request, whichever provider's API the request used."""

    text: str | None = None
    """What the model says. ``None``: nothing if it calls tools, else a sentence made from the
    request."""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    """What the request is billed, all choices together. ``None``: derived from the request, so
    that equal requests cost the same and different ones most often differ."""
    model: str | None = None
    """The answered model name. ``None``: the requested one."""
    response_id: str | None = None
    """``None``: a new id such as the provider's."""
    finish_reason: str | None = None
    """In the provider's own words. ``None``: what fits the answer."""
    chunks: int = 4
    """In how many pieces a stream sends the text."""
    delay_s: float = 0.0
    """Seconds before the first byte."""
    chunk_delay_s: float = 0.0
    """Seconds before each piece of a stream."""
    pause_after_chunks: int | None = None
    """The answer stops after so many pieces until ``ModelServer.resume()``, or until the client
    leaves. An answer that does not stream stops before its first byte."""
    cut_after_chunks: int | None = None
    """The connection is closed after so many pieces; one that does not stream is closed without
    an answer. The whole answer is billed."""
    fail: Failure | None = None
    tells_usage: bool = True
    """``False``: a provider that bills but never says what."""
    usage_as_sent: Mapping[str, object] | None = None
    """Fields that replace the provider's own in the usage sent to the client, however absurd; the
    bill keeps ``usage``."""

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        if self.chunks < 1:
            raise MalformedScript(field="chunks", problem="less than 1")
        if self.delay_s < 0 or self.chunk_delay_s < 0:
            raise MalformedScript(field="delay_s, chunk_delay_s", problem="negative")
        _not_negative("pause_after_chunks", self.pause_after_chunks)
        _not_negative("cut_after_chunks", self.cut_after_chunks)


def _not_negative(name: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise MalformedScript(field=name, problem="negative")
