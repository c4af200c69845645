"""The chain of nonces: how a server notices that one process image runs twice.

Each beat has a fresh nonce and names its predecessors: the last 8 and all since the last
acknowledgement, because any of those may have been stored. A server whose stored nonce is not among
them hears somebody else.

Example:
    Beats n1, n2 were acknowledged; n3 was sent and its answer lost. Beat n4 names n1, n2 and n3:
    the server can hold n2 or n3, both are its own. A second process restored from an image taken
    after n2 sends m3 and names n1, n2: once the server holds n4, that is a clone.
"""

from __future__ import annotations

from typing import Final

_ACKNOWLEDGED_KEPT: Final = 8
_OPEN_KEPT: Final = 200


class Chain:
    """The nonces of one incarnation, as far as a server can still hold one of them."""

    def __init__(self) -> None:
        self._known: list[str] = []
        self._open: list[str] = []

    def earlier(self) -> tuple[str, ...]:
        """The nonces that the next beat names, oldest first."""
        return (*self._known[-_ACKNOWLEDGED_KEPT:], *self._open)

    def acknowledge(self, nonce: str, *, adopt: str | None) -> None:
        """A beat was committed; nothing sent before it can become the stored one any more.

        Args:
            nonce: That beat's nonce.
            adopt: The nonce which the server says it holds instead: a beat whose base was above the
                server's revision leaves the server's chain alone.
        """
        self._known = [*self._known, *self._open, nonce][-_ACKNOWLEDGED_KEPT:]
        if adopt is not None and adopt not in self._known:
            self._known = [*self._known, adopt][-_ACKNOWLEDGED_KEPT:]
        self._open = []

    def leave_open(self, nonce: str) -> None:
        """A beat went out and was not acknowledged: it, or a copy of it, may yet be committed.

        In a long outage the oldest and the newest are kept: 400 nonces take 6 KiB of the message.
        """
        self._open.append(nonce)
        if len(self._open) > 2 * _OPEN_KEPT:
            del self._open[_OPEN_KEPT]
