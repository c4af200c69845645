"""Whether the doors agree, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenbeat.demo.reading import Reading


def equal(readings: Sequence[Reading]) -> bool:
    """Whether all doors tell the same tokens: in total, by model and by caller, and any at all."""
    first = readings[0]
    return first.total > 0 and all(reading.cells == first.cells for reading in readings)


def line(readings: Sequence[Reading]) -> str:
    """One line with every door's number and the verdict."""
    if equal(readings):
        doors = " = ".join(reading.door for reading in readings)
        return f"EQUAL: {doors} = {readings[0].total:,} tokens"
    return "NOT EQUAL: " + ", ".join(f"{reading.door} {reading.total:,}" for reading in readings)


def differences(readings: Sequence[Reading]) -> list[str]:
    """For each cell that the doors tell differently: what each says."""
    cells = sorted({cell for reading in readings for cell in reading.cells})
    return [
        f"{caller or '-'} on {model or '-'}: "
        + ", ".join(f"{r.door} {r.cells.get((model, caller), 0):,}" for r in readings)
        for model, caller in cells
        if len({reading.cells.get((model, caller), 0) for reading in readings}) > 1
    ]
