"""How reports become calls: leaf and envelope, joining, holding, entering.

Everything here runs under the ledger's lock and only decides; what it decided are records.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tokenbeat.ledger.cells import (
    CellKeys,
    counts_of,
    entry_of,
    finished_as,
    key_of,
    token_counts,
)
from tokenbeat.ledger.joining import Joins
from tokenbeat.ledger.raising import rise
from tokenbeat.ledger.records import NO_NOTES, Notes
from tokenbeat.ledger.settling import Settling
from tokenbeat.usage.counts import ERROR, PARTIAL, WITH_USAGE, ZERO_COUNTS, Counts, add

if TYPE_CHECKING:
    from tokenbeat.ledger.bounds import Bounds
    from tokenbeat.ledger.deciding import Decisions
    from tokenbeat.ledger.report import CallToken, Report
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.tokens import TokenUsage


class Entering:
    """The state machine of reports.

    A report is open, then closed. A closed leaf is held or entered; a closed envelope waits for its
    children and is settled. An entered call only rises.

    Args:
        decisions: Where records go.
        bounds: How long calls are held and how much is remembered.
    """

    def __init__(self, *, decisions: Decisions, bounds: Bounds) -> None:
        self._decisions = decisions
        self._bounds = bounds
        self.keys = CellKeys(bounds=bounds)
        self.joins = Joins(bounds=bounds)
        self._settling = Settling(entering=self, bounds=bounds)
        self.open: dict[int, Report] = {}
        self._open_framework: dict[str, int] = {}
        self._open_frameworks = 0
        self._held: deque[tuple[int, Report]] = deque()

    # Starting ------------------------------------------------------------------------------

    def start(
        self, report: Report, *, inside: Report | None, token: CallToken | None,
        member_of: CallToken | None,
    ) -> None:  # fmt: skip
        """Takes a new report in, and finds what it stands inside."""
        if member_of is not None:
            self.join_framework(report, member_of)
        envelope = self._envelope(report, inside=inside, token=token)
        if envelope is not None:
            self.link(report, envelope)
            self._lend(report, envelope)
        self.open[report.id] = report
        self._decisions.started(report, entry=entry_of(report, key_of(report)))

    def join_framework(self, report: Report, token: CallToken) -> None:
        """Makes a report one of a framework call's own."""
        report.member_of = token
        token.members.append(report)
        source = report.source
        self._open_framework[source] = self._open_framework.get(source, 0) + 1
        self._open_frameworks += 1

    def _envelope(
        self, report: Report, *, inside: Report | None, token: CallToken | None
    ) -> Report | None:
        if inside is not None and inside.open and inside.operation == report.operation:
            return inside
        if token is None or not token.live:
            return None
        report.token = token
        for member in token.members:
            if member.operation != report.operation or not member.open:
                continue
            # One child each; a further one only after that child failed.
            if all(not child.open and child.outcome == "error" for child in member.children):
                token.children.append(report)
                return member
        return None

    @staticmethod
    def link(child: Report, envelope: Report) -> None:
        """Puts a report inside its envelope."""
        child.inside = envelope
        envelope.children = (*envelope.children, child)
        envelope.is_envelope = True

    @staticmethod
    def _lend(report: Report, envelope: Report) -> None:
        if not report.caller.steps:
            report.caller = envelope.caller
            report.agent = report.agent or envelope.agent
        if report.run is None:
            report.run = envelope.run

    # Ending --------------------------------------------------------------------------------

    def end(self, report: Report, *, notes: Notes, now_mono_ns: int) -> None:
        """Takes the end of an open report; the caller has filled in what it said."""
        self.close(report)
        token = report.member_of
        if token is not None and len(token.members) > 1 and token.children:
            self._settling.wait_for_batch(token, report, notes=notes, now_mono_ns=now_mono_ns)
        elif report.is_envelope:
            self._decisions.ended(report, notes=notes)
            self._settling.wait_for_children(report, now_mono_ns=now_mono_ns)
        else:
            self._leaf(report, notes=notes, now_mono_ns=now_mono_ns)
        self._decisions.notify("ended", report)
        if report.inside is not None:
            self._settling.child_ended(report)

    def close(self, report: Report) -> None:
        """Takes a report out of the open ones."""
        report.open = False
        self.open.pop(report.id, None)
        if report.member_of is not None:
            self._open_framework[report.source] -= 1
            self._open_frameworks -= 1

    def _leaf(self, report: Report, *, notes: Notes, now_mono_ns: int) -> None:
        twin = self.joins.match(report)
        if twin is not None:
            self._join(report, twin, notes=notes)
        elif self._may_be_claimed(report):
            report.held = True
            entry, counts = entry_of(report, key_of(report)), counts_of(report)
            self._decisions.ended(report, entry=entry, counts=counts, held=True, notes=notes)
            self.joins.add(report)
            self._held.append((now_mono_ns + self._bounds.hold_ns, report))
        else:
            self.enter(report, notes=notes)

    def _may_be_claimed(self, report: Report) -> bool:
        if report.caller.steps or report.inside is not None or report.cached:
            return False
        return not self.nobody_else(report.source)

    def nobody_else(self, source: str) -> bool:
        """Whether no framework call of another source is open: nobody who could claim a call."""
        return self._open_frameworks == self._open_framework.get(source, 0)

    def enter(
        self, report: Report, *, counts: Counts | None = None, notes: Notes = NO_NOTES
    ) -> None:
        """Enters a closed report in its cell: the one place where calls are counted."""
        key = key_of(report)
        admitted = self.keys.admit(key)
        if admitted != key:
            notes = notes._replace(folded=notes.folded + 1)
        report.held = False
        report.entered = True
        report.entry = entry_of(report, admitted)
        report.counts = counts_of(report) if counts is None else counts
        self._decisions.ended(report, entry=report.entry, counts=report.counts, notes=notes)
        self._decisions.notify("entered", report, report.counts)
        self.joins.add(report)

    def _join(self, report: Report, twin: Report, *, notes: Notes) -> None:
        report.joined = twin
        self._decisions.ended(report, notes=notes)
        if twin.held:
            if report.caller.steps:
                twin.caller, twin.agent = report.caller, twin.agent or report.agent
            twin.run = twin.run or report.run
            self.enter(twin)
        self.raise_call(twin, report.usage, partial=report.partial)

    # After the end -------------------------------------------------------------------------

    def again(self, report: Report, usage: TokenUsage | None, *, partial: bool) -> None:
        """Takes a further end of a closed report: it can only raise."""
        if report.held:
            self.enter(report)
        if report.is_envelope and not report.entered:
            self._settling.envelope_again(report, usage, partial=partial)
        else:
            self.raise_call(report.joined or report, usage, partial=partial)

    def raise_call(self, report: Report, usage: TokenUsage | None, *, partial: bool) -> None:
        """Raises an entered call to what a later report says of it."""
        if usage is not None and usage.known and report.entered:
            self.raise_counts(report, token_counts(usage), partial=partial)

    def raise_counts(self, report: Report, reported: Counts, *, partial: bool) -> None:
        """The same with a count vector of tokens."""
        entered = report.counts or ZERO_COUNTS
        if report.cached:
            return
        risen, unused = rise(entered, reported)
        counts = list(risen)
        reasons: list[tuple[str, int]] = []
        if unused:
            reasons.append(("not_raised", unused))
        if not entered[WITH_USAGE]:
            # Unknown usage becomes known. An attempt that turns out to be billed becomes a call.
            counts[WITH_USAGE] = 1
            counts[PARTIAL] = int(partial)
            if report.failed_attempt:
                counts[ERROR] = 1
                reasons.append(("billed_attempt", sum(reported)))
        if not any(counts) and not reasons:
            return
        increments = tuple(counts)
        report.counts = add(entered, increments)
        self._decisions.raised(
            entry=report.entry, counts=increments, notes=Notes(reconciliations=tuple(reasons))
        )
        self._decisions.notify("raised", report, increments)

    def reconcile(self, reason: str, tokens: int) -> None:
        """Notes tokens that two reports disagree about."""
        self._decisions.raised(notes=Notes(reconciliations=((reason, tokens),)))

    def hold(self, report: Report, *, notes: Notes) -> None:
        """Writes down a closed report that may still turn out to be an envelope."""
        report.held = True
        entry, counts = entry_of(report, key_of(report)), counts_of(report)
        self._decisions.ended(report, entry=entry, counts=counts, held=True, notes=notes)

    def ended_outside(self, report: Report, *, notes: Notes = NO_NOTES) -> None:
        """Writes down that a report ended and enters nothing."""
        report.held = False
        self._decisions.ended(report, notes=notes)

    def linked(self, child: Report, envelope: Report) -> None:
        """Writes down that a request belongs to another prompt than was thought."""
        self._decisions.linked(child, envelope)

    def give_up(
        self, report: Report, *, outcome: Outcome, usage: Counts | None, partial: bool
    ) -> None:
        """Enters a call that is still open: its envelope ended, or it is too old.

        Args:
            report: The call.
            outcome: How it ended for those who waited for it.
            usage: What its envelope says that it used, beyond what its chunks told; or None.
            partial: Whether that is incomplete.
        """
        self.close(report)
        if report.is_envelope:
            report.outcome, report.usage, report.partial = outcome, report.heard, True
            self.ended_outside(report)
            self._decisions.notify("ended", report)
            self._settling.settle_now(report)
            return
        heard = token_counts(report.heard)
        known = usage is not None or (report.heard is not None and report.heard.known)
        # Without usage an error is an attempt, and nobody saw an attempt fail here.
        report.outcome = "abandoned" if outcome == "error" and not known else outcome
        tokens = heard if usage is None else add(heard, rise(heard, usage).counts)
        counts = list(add(finished_as(report.outcome, items=report.items), tokens))
        counts[WITH_USAGE] = int(known)
        counts[PARTIAL] = int(known and (partial or usage is None))
        self.enter(report, counts=tuple(counts))
        self._decisions.notify("ended", report)

    # Time ----------------------------------------------------------------------------------

    def expire(self, now_mono_ns: int) -> None:
        """Lets waiting end: a held call is entered, an envelope settled, an old call given up."""
        while self._held and self._held[0][0] <= now_mono_ns:
            report = self._held.popleft()[1]
            if report.held:
                self.enter(report)
        self._settling.expire(now_mono_ns)
        oldest_ns = now_mono_ns - self._bounds.sweep_ns
        while self.open:
            report = next(iter(self.open.values()))
            if report.started_mono_ns > oldest_ns:
                break
            self.sweep(report, now_mono_ns=now_mono_ns)
        self.joins.expire(now_mono_ns)

    def sweep(self, report: Report, *, now_mono_ns: int) -> None:
        """Gives up an open report, envelope or leaf."""
        envelope = report.inside
        if report.is_envelope:
            report.outcome = "abandoned"
            report.usage = report.heard
            report.partial = True
            self.end(report, notes=NO_NOTES, now_mono_ns=now_mono_ns)
        elif envelope is not None and not envelope.open and not envelope.settled:
            self._settling.settle_now(envelope)
        else:
            self.give_up(report, outcome="abandoned", usage=None, partial=True)

    def close_all(self, *, now_mono_ns: int) -> None:
        """Enters every open call as unfinished: a clean shutdown."""
        for report in list(self.open.values()):
            if not report.is_envelope:
                self.give_up(report, outcome="unfinished", usage=None, partial=True)
        for report in list(self.open.values()):
            report.outcome = "unfinished"
            report.usage = None
            self.end(report, notes=NO_NOTES, now_mono_ns=now_mono_ns)
        self.expire(now_mono_ns + self._bounds.envelope_ns)

    @property
    def waiting(self) -> bool:
        """Whether `expire` has more to look at than the oldest open call."""
        return bool(self._held) or not self._settling.idle
