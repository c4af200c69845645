"""From what a provider or framework reported to `TokenUsage`: the only place that knows the names.

This runs once for every model call. It reads each field once, never changes what it is given and
never raises: what it cannot believe is left out and named.

- *Inside or beside.* Input includes cached input, output includes reasoning. Anthropic and Bedrock
  report cached input beside input (their names say so), Gemini its thoughts beside output: they are
  added, exactly once. Others (xAI's reasoning, some adapters' cached input) give themselves away
  by their total: where it exceeds input + output by exactly the part, the part stood beside it.
- *Total.* What a reported total has beyond input and output is ``unclassified_tokens``. A total
  that is missing, 0 or smaller is not used.
- *Bad fields.* A negative, bool, non-integer or absurd number is left out and makes the result
  `Reported.malformed`; the good fields count. Parts that are greater than their whole are left out,
  the whole stays. Where a whole is missing, its parts are a lower bound of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tokenbeat.usage import names
from tokenbeat.usage.combined import add_usage
from tokenbeat.usage.plain import plain_usage
from tokenbeat.usage.reading import Reading, group_of
from tokenbeat.usage.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenbeat.usage.tokens import TokenUsage

MAX_CALL_TOKENS: Final = 1_000_000_000
"""The greatest believable count in one field of one call (TOKENBEAT_MAX_CALL_TOKENS)."""


class Reported(NamedTuple):
    """What was read.

    Attributes:
        usage: The tokens, or None where nothing was told: then a later place may tell.
        anomalies: What was not believed, as ``reason:field`` in a closed vocabulary. Reasons:
            ``negative``, ``boolean``, ``not_an_integer``, ``absurd`` (a number), ``not_a_group``
            (details), ``not_a_usage`` (the whole thing), ``exceeds_whole`` (a part),
            ``without_whole`` (a whole that only its parts tell).
        malformed: Whether a number is missing that was meant to be told, so that the usage is
            ``partial``. A dropped part alone does not make it so: its whole stands.
    """

    usage: TokenUsage | None
    anomalies: tuple[str, ...] = ()
    malformed: bool = False


NOTHING: Final = Reported(None)
"""Nobody told anything."""


def read_usage(
    raw: object, *, provider: str | None = None, max_call_tokens: int = MAX_CALL_TOKENS
) -> Reported:
    """Reads a usage as a provider, its SDK or LangChain gives it.

    Args:
        raw: A mapping, or an object with such attributes (an SDK's own model). Never changed.
        provider: ``gen_ai.provider.name``; settles what names leave open.
        max_call_tokens: The greatest count of tokens that is believed in one field.

    Example:
        Anthropic's ``{"input_tokens": 100, "cache_read_input_tokens": 900,
        "cache_creation_input_tokens": 200, "output_tokens": 50}`` is input 1200 (900 read, 200
        written), output 50.
    """
    if type(raw) is dict:
        plain = plain_usage(cast("dict[str, Any]", raw), most=max_call_tokens)
        if plain is not None:
            return Reported(plain)
    return read_any(cast("Any", raw), provider=provider, max_call_tokens=max_call_tokens)


def read_any(raw: object, *, provider: str | None, max_call_tokens: int) -> Reported:
    """`read_usage` for what is not of the plain shape; for that the same, more slowly."""
    group = group_of(raw)
    if not group:
        return NOTHING if group is not None or raw is None else _NOT_A_USAGE
    reading = Reading(most=max_call_tokens, whole_floats=provider in names.WHOLE_FLOATS_FROM)
    reading.read(group)
    usage = None
    if reading.told:
        usage = settle(
            reading,
            cache_inside=names.CHAT_INPUT in group and provider not in names.CACHE_BESIDE_PROMPT,
        )
    for compaction in reading.compactions:
        inner = read_usage(compaction, provider=provider, max_call_tokens=max_call_tokens)
        reading.anomalies.extend(inner.anomalies)
        reading.malformed = reading.malformed or inner.malformed
        if inner.usage is not None:
            usage = inner.usage if usage is None else add_usage(usage, inner.usage)
    return Reported(usage, tuple(reading.anomalies), reading.malformed)


def read_first(
    places: Iterable[object],
    *,
    provider: str | None = None,
    max_call_tokens: int = MAX_CALL_TOKENS,
) -> Reported:
    """The first of several places that tells anything; an empty one hides no later one.

    What was not believed on the way is told, too.
    """
    anomalies: list[str] = []
    malformed = False
    for place in places:
        found = read_usage(place, provider=provider, max_call_tokens=max_call_tokens)
        if found.usage is not None:
            return found._replace(anomalies=(*anomalies, *found.anomalies)) if anomalies else found
        anomalies.extend(found.anomalies)
        malformed = malformed or found.malformed
    return Reported(None, tuple(anomalies), malformed) if anomalies else NOTHING


_NOT_A_USAGE: Final = Reported(None, ("not_a_usage:usage",), malformed=True)
