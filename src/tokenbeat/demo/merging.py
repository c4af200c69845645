"""The heartbeats' number, by the protocol's own rule and nothing of the package's code.

A receiver that keeps the greatest value of each count of each cell of each incarnation has
everything: bodies may come late, twice or in any order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def merged(bodies: Iterable[bytes]) -> dict[tuple[str, str], int]:
    """Tokens by answered model and caller of all recorded heartbeats."""
    greatest: dict[tuple[str, ...], dict[str, int]] = {}
    for body in bodies:
        beat = json.loads(body).get("tokenbeat", {})
        for cell in (cell for cut in beat.get("cuts", []) for cell in cut["cells"]):
            names = ("operation", "provider", "requestModel", "responseModel", "agent", "caller")
            key = (beat["incarnation"], *(cell.get(name) or "" for name in names))
            kept = greatest.setdefault(key, {})
            for kind in ("input", "output", "unclassified"):
                kept[kind] = max(kept.get(kind, 0), cell.get("tokens", {}).get(kind, 0))
    sums: dict[tuple[str, str], int] = {}
    for key, tokens in greatest.items():
        sums[key[4], key[6]] = sums.get((key[4], key[6]), 0) + sum(tokens.values())
    return sums
