"""What a decision is made of: ordinals, records and notices, in the order they were decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from tokenbeat.ledger.records import NO_NOTES, End, Link, Notes, Raise, RunChange, Start
from tokenbeat.usage.counts import ZERO_COUNTS

if TYPE_CHECKING:
    from tokenbeat.clock import Clock
    from tokenbeat.ledger.records import Entry, Record
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.counts import Counts


class Notice(NamedTuple):
    """Something for the observers, once its records are applied."""

    what: Literal["started", "ended", "entered", "raised"]
    report: Report
    counts: Counts = ZERO_COUNTS


class Decisions:
    """Collects what one call of the ledger decided; ordinals are given here, under its lock.

    Args:
        clock: The wall clock behind the line that records lie on; that line never runs back.
    """

    __slots__ = ("_clock", "at_ns", "notices", "ordinal", "records")

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self.ordinal = 0
        self.at_ns = 0
        self.records: list[Record] = []
        self.notices: list[Notice] = []

    def take(self) -> tuple[list[Record], list[Notice]]:
        """What was decided since the last time."""
        taken = self.records, self.notices
        self.records, self.notices = [], []
        return taken

    def now_ns(self) -> int:
        """Wall time, never before an earlier answer: ns since 1970."""
        now_ns = self._clock.wall_ns()
        self.at_ns = max(self.at_ns, now_ns)
        return self.at_ns

    def _next(self) -> int:
        self.ordinal += 1
        return self.ordinal

    def started(self, report: Report, *, entry: Entry) -> None:
        """A report began."""
        inside = None if report.inside is None else report.inside.id
        self.records.append(
            Start(self._next(), self.now_ns(), report.id, report.source, entry, inside)
        )
        self.notices.append(Notice("started", report))

    def ended(
        self,
        report: Report,
        *,
        entry: Entry | None = None,
        counts: Counts | None = None,
        held: bool = False,
        notes: Notes = NO_NOTES,
    ) -> None:
        """A report ended, or a held one was released."""
        self.records.append(End(self._next(), self.now_ns(), report.id, entry, counts, held, notes))

    def linked(self, child: Report, envelope: Report) -> None:
        """A report stands inside another."""
        self.records.append(Link(self._next(), self.now_ns(), child.id, envelope.id))

    def raised(
        self, *, entry: Entry | None = None, counts: Counts | None = None, notes: Notes = NO_NOTES
    ) -> None:
        """An entered call rose, or something is to be noted."""
        self.records.append(Raise(self._next(), self.now_ns(), entry, counts, notes))

    def run_changed(  # noqa: PLR0913 a run has that many facts
        self,
        run_id: str,
        part: int | None,
        *,
        status: str,
        thread_id: str | None = None,
        root_agent: str | None = None,
        user: str | None = None,
        labels: tuple[tuple[str, str], ...] | None = None,
    ) -> int:
        """A run changed; ``part`` None opens a new part, named by this record's ordinal."""
        ordinal = self._next()
        part = ordinal if part is None else part
        self.records.append(
            RunChange(
                ordinal, self.now_ns(), run_id, part, status, thread_id, root_agent, user, labels
            )
        )
        return part

    def notify(
        self,
        what: Literal["started", "ended", "entered", "raised"],
        report: Report,
        counts: Counts = ZERO_COUNTS,
    ) -> None:
        """Tells the observers, after the records are applied."""
        self.notices.append(Notice(what, report, counts))
