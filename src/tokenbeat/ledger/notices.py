"""Who wants to know when calls start, end, are entered or raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.counts import Counts


class CallObserver(Protocol):
    """Told in the thread of whoever made the change, outside every lock, after it was applied.

    An observer must be quick: it runs on the call path. What it raises is contained.
    """

    def call_started(self, report: Report) -> None:
        """A report began."""
        ...

    def call_ended(self, report: Report) -> None:
        """A report closed; ``report.entered`` tells whether it is in a cell already."""
        ...

    def call_entered(self, report: Report, counts: Counts) -> None:
        """A call, or a failed attempt, was added to its cell: these are the increments."""
        ...

    def call_raised(self, report: Report, counts: Counts) -> None:
        """An entered call rose by these increments."""
        ...
