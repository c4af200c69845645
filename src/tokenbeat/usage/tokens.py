"""The tokens of one call: exact integers, or None for "not reported"."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from tokenbeat.usage.errors import ImpossibleUsage, MalformedUsage

TOKEN_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "input_text_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_text_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
"""The fields of `TokenUsage` in the order of its vector."""

PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    ("cache_write_tokens", ("cache_write_5m_tokens", "cache_write_1h_tokens")),
    ("output_tokens", ("reasoning_tokens",)),
    ("input_tokens", ("input_text_tokens", "input_audio_tokens", "input_image_tokens")),
    ("output_tokens", ("output_text_tokens", "output_audio_tokens", "output_image_tokens")),
)
"""Each whole with a set of parts that do not overlap: together they are at most the whole."""

_vector = attrgetter(*TOKEN_FIELDS)
_new = object.__new__


# No slots: `believed` leaves what was not told to the class.
@dataclass(frozen=True, kw_only=True)
class TokenUsage:
    """What a provider reported for one call.

    ``input_tokens`` includes what was read from and written to the provider's cache;
    ``output_tokens`` includes reasoning (OpenTelemetry GenAI conventions). Each field is a count of
    tokens, or None where the provider did not say. A wrong value cannot be built.

    Example:
        Anthropic reports 100 fresh, 900 read and 200 written tokens beside each other. Here that is
        ``TokenUsage(input_tokens=1200, cache_read_tokens=900, cache_write_tokens=200, …)``.

    Raises:
        MalformedUsage: A field is negative, a bool or no int.
        ImpossibleUsage: Parts are greater than their whole, or their whole was not reported.
    """

    input_tokens: int | None = None
    """All input, cached input included."""
    output_tokens: int | None = None
    """All output, reasoning included."""
    cache_read_tokens: int | None = None
    """Part of input: served from the provider's cache."""
    cache_write_tokens: int | None = None
    """Part of input: written to the provider's cache, whatever its lifetime."""
    cache_write_5m_tokens: int | None = None
    """Part of cache writes: kept for five minutes."""
    cache_write_1h_tokens: int | None = None
    """Part of cache writes: kept for one hour."""
    reasoning_tokens: int | None = None
    """Part of output: not shown to the caller."""
    unclassified_tokens: int | None = None
    """What a reported total has beyond input and output."""
    input_text_tokens: int | None = None
    """Part of input by modality; the rest is of unknown modality."""
    input_audio_tokens: int | None = None
    """Part of input by modality."""
    input_image_tokens: int | None = None
    """Part of input by modality."""
    output_text_tokens: int | None = None
    """Part of output by modality; the rest is of unknown modality."""
    output_audio_tokens: int | None = None
    """Part of output by modality."""
    output_image_tokens: int | None = None
    """Part of output by modality."""

    _vector: ClassVar[tuple[int, ...] | None] = None
    """The vector where it is known without asking each field."""

    def __post_init__(self) -> None:
        values = _vector(self)
        for value in values:
            if value is not None and (type(value) is not int or value < 0):
                field = TOKEN_FIELDS[next(i for i, v in enumerate(values) if v is value)]
                raise MalformedUsage(field=field, value=value)
        # Spelled out: this runs once for each call of the agent, and a loop over PARTS costs 3 µs.
        inp, out, read, write, write_5m, write_1h, reasoning, _, *modes = [v or 0 for v in values]
        if (
            read + write > inp
            or write_5m + write_1h > write
            or reasoning > out
            or modes[0] + modes[1] + modes[2] > inp
            or modes[3] + modes[4] + modes[5] > out
        ):
            raise self._impossible()

    def _impossible(self) -> ImpossibleUsage:
        """The first whole that is less than its parts; there is one."""

        def of_parts(parts: tuple[str, ...]) -> int:
            return sum(getattr(self, part) or 0 for part in parts)

        whole, parts = next(
            (whole, parts)
            for whole, parts in PARTS
            if of_parts(parts) > (getattr(self, whole) or 0)
        )
        return ImpossibleUsage(
            part="+".join(part for part in parts if getattr(self, part)),
            part_tokens=of_parts(parts),
            whole=whole,
            whole_tokens=getattr(self, whole),
        )

    @property
    def known(self) -> bool:
        """Whether the provider said anything: an all-None usage is unknown, zeros are known."""
        if self.input_tokens is not None or self.output_tokens is not None:
            return True
        return any(value is not None for value in _vector(self))

    @property
    def total_tokens(self) -> int | None:
        """Input + output + unclassified, the only total there is; None where nothing was said."""
        if self.input_tokens is self.output_tokens is self.unclassified_tokens is None:
            return None
        return (
            (self.input_tokens or 0) + (self.output_tokens or 0) + (self.unclassified_tokens or 0)
        )

    def vector(self) -> tuple[int, ...]:
        """The fields in the order of `TOKEN_FIELDS`, not reported ones as 0."""
        return self._vector or tuple([value or 0 for value in _vector(self)])


def believed(
    tokens_in: int, tokens_out: int, *, read: int | None, write: int | None, reasoning: int | None
) -> TokenUsage:
    """A usage whose fields the caller has checked, at a fifth of the cost of checking them again.

    Args:
        tokens_in: All input.
        tokens_out: All output.
        read: Part of input that was read from the cache, or None.
        write: Part of input that was written to the cache, or None.
        reasoning: Part of output that was reasoning, or None.
    """
    usage = _new(TokenUsage)
    fields = usage.__dict__
    fields["input_tokens"] = tokens_in
    fields["output_tokens"] = tokens_out
    if read is not None:
        fields["cache_read_tokens"] = read
    if write is not None:
        fields["cache_write_tokens"] = write
    if reasoning is not None:
        fields["reasoning_tokens"] = reasoning
    fields["_vector"] = (
        tokens_in, tokens_out, read or 0, write or 0, 0, 0, reasoning or 0, 0, 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    return usage
