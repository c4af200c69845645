"""Whose books are shown: the living ledger's, and those of the dead that were recovered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenbeat.ledger.notices import CallObserver
    from tokenbeat.ledger.snapshot import Snapshot


class Books(Protocol):
    """What telemetry needs of a ledger."""

    @property
    def incarnation(self) -> str:
        """Whose books they are."""
        ...

    def snapshot(self, *, since: int = 0) -> Snapshot:
        """The books at one revision, with the cells that changed after ``since``."""
        ...

    def subscribe(self, observer: CallObserver) -> None:
        """Tell the observer of calls from now on."""
        ...

    def unsubscribe(self, observer: CallObserver) -> None:
        """Tell it no more."""
        ...


class RecoveredBooks(Protocol):
    """What is left of a dead incarnation."""

    def snapshot(self, *, since: int = 0) -> Snapshot:
        """Its final books."""
        ...


class BookSet:
    """The books of one process: the living ones, which a fork replaces, and recovered ones.

    Args:
        living: The ledger that this process enters its calls in.
    """

    __slots__ = ("_recovered", "living")

    def __init__(self, living: Books) -> None:
        self.living = living
        self._recovered: tuple[RecoveredBooks, ...] = ()

    @property
    def recovered(self) -> tuple[RecoveredBooks, ...]:
        """The dead whose final counts this process shows, under their own incarnations."""
        return self._recovered

    def add_recovered(self, books: RecoveredBooks) -> None:
        """Show a dead incarnation's final counts from the next collection on."""
        self._recovered = (*self._recovered, books)

    def begin_child(self, living: Books) -> None:
        """In a forked child: other living books, and no dead ones (the parent shows them)."""
        self.living = living
        self._recovered = ()
