"""What a door says: tokens by model and caller."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Cell = tuple[str, str]
"""The model that answered, and the caller."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens (input + output + unclassified) by model and caller, as one door tells them.

    Attributes:
        door: Which door.
        cells: Its tokens; cells without tokens are not listed.
    """

    door: str
    cells: Mapping[Cell, int]

    @classmethod
    def of(cls, door: str, parts: Iterable[tuple[Cell, int]]) -> Reading:
        """Adds up parts."""
        cells: defaultdict[Cell, int] = defaultdict(int)
        for cell, tokens in parts:
            cells[cell] += tokens
        return cls(door, {cell: tokens for cell, tokens in sorted(cells.items()) if tokens})

    @property
    def total(self) -> int:
        """All tokens."""
        return sum(self.cells.values())

    def as_json(self) -> dict[str, object]:
        """The form that ``JSON=1`` prints."""
        return {
            "total": self.total,
            "cells": [
                {"model": model, "caller": caller, "tokens": tokens}
                for (model, caller), tokens in self.cells.items()
            ],
        }
