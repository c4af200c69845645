"""From collected counts to a `TokenUsage`: what is inside what, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.usage import names
from tokenbeat.usage.errors import ImpossibleUsage
from tokenbeat.usage.names import INPUT, OUTPUT, READ, REASONING, UNCLASSIFIED, WRITE
from tokenbeat.usage.tokens import PARTS, TokenUsage

if TYPE_CHECKING:
    from tokenbeat.usage.reading import Reading


def settle(reading: Reading, *, cache_inside: bool) -> TokenUsage | None:
    """The usage that these counts can be; None where no count is left.

    Args:
        reading: The counts; what does not fit is added to its anomalies.
        cache_inside: Whether input includes cached input although it stands under a name that
            usually says otherwise.
    """
    told = reading.told
    total = told.pop(names.TOTAL, None)
    if not names.APART.isdisjoint(told):
        _put_inside(told, total=total, cache_inside=cache_inside)
    split = told.get(names.WRITE_5M, 0) + told.get(names.WRITE_1H, 0)
    if split > told.get(WRITE, 0):
        # langchain-anthropic says 0 for all writes beside the split of them.
        told[WRITE] = split
    if total and total > told.get(INPUT, 0) + told.get(OUTPUT, 0):
        _use_total(told, reading, total=total)
    elif INPUT not in told or OUTPUT not in told:
        _bound_from_below(told, reading)
        if total == 0 and not told and not reading.malformed:
            told[UNCLASSIFIED] = 0  # somebody said "none", which is not silence
    while told:
        try:
            return TokenUsage(**told)
        except ImpossibleUsage as impossible:  # noqa: PERF203 once, but for impossible reports
            _leave_out(told, reading, impossible)
    return None


def _put_inside(told: dict[str, int], *, total: int | None, cache_inside: bool) -> None:
    """Puts what was reported beside input or output where `TokenUsage` has it.

    Example:
        input 100, 900 read and 200 written beside it: input 1200, read 900, written 200.
    """
    if names.CACHE_MISS in told:
        missed = told.pop(names.CACHE_MISS)
        told.setdefault(INPUT, missed + told.get(READ, 0))
    if names.TOOL_PROMPT in told:
        told[INPUT] = told.get(INPUT, 0) + told.pop(names.TOOL_PROMPT)
    if names.READ_BESIDE in told or names.WRITE_BESIDE in told:
        split = told.get(names.WRITE_5M, 0) + told.get(names.WRITE_1H, 0)
        if names.READ_BESIDE in told:
            told[READ] = max(told.pop(names.READ_BESIDE), told.get(READ, 0))
        if names.WRITE_BESIDE in told:
            told[WRITE] = max(told.pop(names.WRITE_BESIDE), told.get(WRITE, 0), split)
        if INPUT in told and not cache_inside:
            told[INPUT] += told.get(READ, 0) + told.get(WRITE, 0)
    if names.THOUGHTS in told:
        thoughts = told[REASONING] = told.pop(names.THOUGHTS)
        inside = OUTPUT in told and total == told.get(INPUT, 0) + told[OUTPUT]
        if not inside:
            told[OUTPUT] = told.get(OUTPUT, 0) + thoughts


def _use_total(told: dict[str, int], reading: Reading, *, total: int) -> None:
    """Finds out what a total has beyond input and output, so that none of it is lost.

    Example:
        10 in, 5 out, total 40 and 25 reasoning tokens: they stood beside output, which is 30.
        200 in, 142 out, total 500: nobody says what the other 158 are, they are unclassified.
    """
    if INPUT in told and OUTPUT in told:
        beyond = total - told[INPUT] - told[OUTPUT]
        cached = told.get(READ, 0) + told.get(WRITE, 0)
        reasoning = told.get(REASONING, 0)
        if beyond == cached + reasoning:
            told[INPUT] += cached
            told[OUTPUT] += reasoning
        elif beyond == reasoning and (beyond != cached or cached <= told[INPUT]):
            told[OUTPUT] += reasoning
        elif beyond == cached:
            told[INPUT] += cached
    else:
        _bound_from_below(told, reading)
    beyond = total - told.get(INPUT, 0) - told.get(OUTPUT, 0)
    if beyond > 0:
        told[UNCLASSIFIED] = beyond


def _bound_from_below(told: dict[str, int], reading: Reading) -> None:
    """Where a whole is missing its parts were billed all the same: it is at least their sum."""
    for whole in (INPUT, OUTPUT):
        if whole in told:
            continue
        least = max(
            sum(told.get(part, 0) for part in parts) for name, parts in PARTS if name == whole
        )
        if least:
            told[whole] = least
            reading.anomalies.append(f"without_whole:{whole}")
            reading.malformed = True


def _leave_out(told: dict[str, int], reading: Reading, impossible: ImpossibleUsage) -> None:
    """Leaves out the parts that do not fit into their whole, and what they are made of."""
    parts = impossible.part.split("+")
    whole_tokens = told.get(impossible.whole, 0)
    # Where each of them would fit alone nothing says which one is wrong: all go.
    for part in [part for part in parts if told[part] > whole_tokens] or parts:
        del told[part]
        reading.anomalies.append(f"exceeds_whole:{part}")
        if part == WRITE:
            told.pop(names.WRITE_5M, None)
            told.pop(names.WRITE_1H, None)
