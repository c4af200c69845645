"""Responses that can be fetched again by their id, for which nothing is charged."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenbeat.testing.request_body import Json

_KEPT = 1_000


class StoredResponses:
    """The latest 1,000 responses' bodies. Used on the server's event loop only."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, Json] = OrderedDict()

    def keep(self, response_id: str, *, body: Json) -> None:
        """Remember a response, forgetting the oldest where there are too many."""
        self._bodies[response_id] = body
        while len(self._bodies) > _KEPT:
            self._bodies.popitem(last=False)

    def get(self, response_id: str) -> Json | None:
        """A response's body, or ``None`` where it is unknown or forgotten."""
        return self._bodies.get(response_id)
