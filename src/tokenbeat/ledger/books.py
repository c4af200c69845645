"""The ledger: takes reports in, decides under its lock, writes down, applies, tells."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from tokenbeat.guard import contained
from tokenbeat.ledger.accounts import Accounts
from tokenbeat.ledger.bounds import DEFAULT_BOUNDS, Bounds
from tokenbeat.ledger.deciding import Decisions, Notice
from tokenbeat.ledger.entering import Entering
from tokenbeat.ledger.express import Express
from tokenbeat.ledger.records import NO_NOTES, Notes, Record, encode
from tokenbeat.ledger.report import CallToken, Report, RunRef
from tokenbeat.ledger.running import Running
from tokenbeat.ledger.viewing import view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.clock import Clock
    from tokenbeat.ledger.journal import Journal
    from tokenbeat.ledger.notices import CallObserver
    from tokenbeat.ledger.snapshot import Snapshot
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.caller import Caller
    from tokenbeat.usage.tokens import TokenUsage

_LOGGER = logging.getLogger(__name__)
_OBSERVER = contained("ledger.observer")


class Ledger:
    """The books of one incarnation. Every method may be called from any thread.

    It changes only by records: a method decides under the lock and gives ordinals, lets go of it,
    writes the records to the journal, applies them, and tells the observers. No lock is held over
    a write, and a record is applied after its write returned (or failed).

    Args:
        incarnation: The id of this process or fork.
        clock: Both clocks.
        journal: Where records are written; None keeps them in memory only.
        bounds: Limits and waiting times.
        keep_cuts: Whether somebody will ask for windows.
    """

    def __init__(
        self, *, incarnation: str, clock: Clock, journal: Journal | None = None,
        bounds: Bounds = DEFAULT_BOUNDS, keep_cuts: bool = True,
    ) -> None:  # fmt: skip
        self.incarnation = incarnation
        self.started_ns = clock.wall_ns()
        self.acknowledging = False
        """Whether a sender will acknowledge runs; else closed ones are forgotten after a while."""
        self._clock = clock
        self._journal = journal
        self._journal_errors = 0
        self._lock = threading.Lock()
        self._decisions = Decisions(clock=clock)
        self._accounts = Accounts(bounds=bounds, keep_cuts=keep_cuts)
        self._entering = Entering(decisions=self._decisions, bounds=bounds)
        self._express = Express(entering=self._entering, decisions=self._decisions)
        self._running = Running(decisions=self._decisions, accounts=self._accounts, bounds=bounds)
        self._observers: tuple[CallObserver, ...] = ()
        self._reports = 0
        self._applied = 0
        self._applied_ahead: set[int] = set()
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0

    # Reports -------------------------------------------------------------------------------

    def start(  # noqa: PLR0913 a call has that many facts at its start
        self, *, source: str, operation: str, provider: str, request_model: str | None,
        caller: Caller, agent: str | None = None, run: RunRef | None = None,
        inside: Report | None = None, token: CallToken | None = None,
        member_of: CallToken | None = None, scope: object | None = None,
        started_ns: int | None = None,
    ) -> Report:  # fmt: skip
        """A source saw a call begin.

        Args:
            source: Who says so: ``langchain``, ``openai``, …
            operation: ``chat``, ``text_completion``, ``embeddings``, ``generate_content``.
            provider: ``gen_ai.provider.name``.
            request_model: The model asked for, or None.
            caller: Who calls; where nobody is known, the envelope's caller is lent.
            agent: ``gen_ai.agent.name``, or None.
            run: The run, or None; the envelope's is lent.
            inside: The report of the same source that this one runs in.
            token: The framework call's token that the source found in its context.
            member_of: The framework call's own token; prompts of one batch share it.
            scope: The attribution scope, for observers.
            started_ns: Wall time of the start, where it is not now: ns since 1970.

        Returns:
            The report, to be passed to `end`.
        """
        mono_ns = self._clock.monotonic_ns()
        wall_ns = self._clock.wall_ns() if started_ns is None else started_ns
        with self._lock:
            entering = self._entering
            if entering.waiting:
                entering.expire(mono_ns)
            self._reports += 1
            if run is not None and run.evicted:
                run = self._running.current(run)
            report = Report(
                self._reports, source=source, operation=operation, provider=provider,
                request_model=request_model, caller=caller, agent=agent,
                run=run, started_ns=wall_ns, started_mono_ns=mono_ns,
            )  # fmt: skip
            report.scope = scope
            begun = None
            if inside is None and token is None:
                if member_of is not None:
                    entering.join_framework(report, member_of)
                begun = self._express.start(report)
            else:
                entering.start(report, inside=inside, token=token, member_of=member_of)
            records, notices = self._decisions.take()
        if records or notices:
            self._commit(records, notices)
        if begun is not None:
            self._commit_one(*begun)
            for observer in self._observers:
                with _OBSERVER:
                    observer.call_started(report)
        return report

    def end(  # noqa: PLR0913 a call has that many facts at its end
        self, report: Report, *, outcome: Outcome, usage: TokenUsage | None = None,
        partial: bool = False, response_model: str | None = None, response_id: str | None = None,
        items: int = 1, cached: bool = False, error_type: str | None = None,
        anomalies: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """A source saw a call end. A second end of one report can only raise what was entered.

        Args:
            report: What `start` returned.
            outcome: ``ok``, ``error``, ``cancelled``, ``abandoned`` or ``unfinished``.
            usage: What was used; None takes what its chunks told (``report.heard``), as partial.
            partial: Whether ``usage`` is known to be incomplete.
            response_model: The model that answered, or None.
            response_id: The provider's id of the response, or None.
            items: Prompts or inputs inside the request.
            cached: Whether a local response cache answered: then nothing was billed.
            error_type: The type name of the error.
            anomalies: Reasons for which something of the report could not be used.
        """
        mono_ns = self._clock.monotonic_ns()
        heard = report.heard
        known = usage is not None and usage.known
        if not known and heard is not None:
            usage, partial = heard, True
        plain = known and outcome == "ok" and items == 1 and not (partial or cached or anomalies)
        done = None
        with self._lock:
            if self._entering.waiting:
                self._entering.expire(mono_ns)
            if report.open:
                report.outcome, report.usage, report.partial = outcome, usage, partial
                report.response_model, report.response_id = response_model, response_id
                report.items, report.cached, report.error_type = items, cached, error_type
                report.ended_ns, report.ended_mono_ns = self._clock.wall_ns(), mono_ns
                if report.run is not None and report.run.evicted:
                    report.run = self._running.current(report.run)
                done = self._express.end(report) if plain else None
                if done is None:
                    notes = Notes(anomalies=anomalies) if anomalies else NO_NOTES
                    self._entering.end(report, notes=notes, now_mono_ns=mono_ns)
            else:
                self._entering.again(report, usage, partial=partial)
                if anomalies:
                    self._decisions.raised(notes=Notes(anomalies=anomalies))
            records, notices = self._decisions.take()
        if records or notices:
            self._commit(records, notices)
        if done is not None:
            record, line, counts = done
            self._commit_one(record, line)
            for observer in self._observers:
                with _OBSERVER:
                    observer.call_entered(report, counts)
                with _OBSERVER:
                    observer.call_ended(report)

    # Runs ----------------------------------------------------------------------------------

    def open_run(
        self, run_id: str, *, thread_id: str | None = None, root_agent: str | None = None,
        user: str | None = None, labels: Mapping[str, str] | None = None,
    ) -> RunRef:  # fmt: skip
        """Opens a run, or continues the one of this id; later facts are added to it.

        Args:
            run_id: The framework's or the user's id; at most 128 characters are kept.
            thread_id: The conversation.
            root_agent: The outermost agent's name.
            user: Who it is for.
            labels: At most 16 names and values of the user's choice.
        """
        with self._lock:
            ref = self._running.open(
                run_id, thread_id=thread_id, root_agent=root_agent, user=user, labels=labels
            )
            decided = self._decisions.take()
        self._commit(*decided)
        return ref

    def close_run(self, run: RunRef, *, status: str) -> None:
        """Ends a run, with one of `RUN_STATUSES` but ``open``."""
        with self._lock:
            self._running.close(run, status=status)
            decided = self._decisions.take()
        self._commit(*decided)

    def acknowledge(self, revision: int) -> None:
        """Somebody keeps everything up to ``revision``: closed runs may leave the memory."""
        with self._lock:
            self._running.acknowledged = revision

    # Notes ---------------------------------------------------------------------------------

    def anomaly(self, reason: str) -> None:
        """Notes a fault in what was reported; ``reason`` is one of a few fixed words."""
        self._note(Notes(anomalies=(reason,)))

    def reconcile(self, reason: str, tokens: int) -> None:
        """Notes tokens that two reports of one call disagree about."""
        self._note(Notes(reconciliations=((reason, tokens),)))

    def _note(self, notes: Notes) -> None:
        with self._lock:
            self._decisions.raised(notes=notes)
            decided = self._decisions.take()
        self._commit(*decided)

    # Reading -------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Every record up to this ordinal is applied."""
        return self._applied

    def snapshot(self, *, since: int = 0) -> Snapshot:
        """The books at one revision, after what was due has been entered.

        Args:
            since: Only cells and runs that changed after this ordinal are listed.
        """
        self.expire()
        with self._lock:
            at_ns = self._decisions.now_ns()
            self._running.forget(at_ns, acknowledging=self.acknowledging)
            return view(
                self._accounts, incarnation=self.incarnation, started_ns=self.started_ns,
                revision=self._applied, at_ns=at_ns, since=since, journal=self._journal,
                journal_errors=self._journal_errors,
            )  # fmt: skip

    def wait_for_change(self, revision: int, timeout_s: float) -> bool:
        """Waits until something beyond ``revision`` is applied; False after ``timeout_s``."""
        with self._changed:
            self._waiting += 1
            try:
                return self._changed.wait_for(lambda: self._applied > revision, timeout_s)
            finally:
                self._waiting -= 1

    def subscribe(self, observer: CallObserver) -> None:
        """Tells ``observer`` of every call from now on."""
        with self._lock:
            if observer not in self._observers:
                self._observers = (*self._observers, observer)

    def unsubscribe(self, observer: CallObserver) -> None:
        """Tells ``observer`` no more."""
        with self._lock:
            self._observers = tuple(o for o in self._observers if o is not observer)

    # Journal and end -----------------------------------------------------------------------

    @property
    def journal(self) -> Journal | None:
        """Where records are written, or None."""
        return self._journal

    def expect_sender(self, expected: bool, /) -> None:  # noqa: FBT001 what its name asks
        """Says whether heartbeats will be sent: without them no windows are kept."""
        with self._lock:
            self.acknowledging = expected
            if not expected:
                self._accounts.cuts = None

    def attach_journal(self, journal: Journal) -> None:
        """Writes records to ``journal`` from now on; to be done before the first call."""
        with self._lock:
            self._journal = journal

    def expire(self) -> None:
        """Lets waiting calls end whose time is over; snapshots and new calls do it, too."""
        with self._lock:
            self._entering.expire(self._clock.monotonic_ns())
            decided = self._decisions.take()
        self._commit(*decided)

    def close(self) -> None:
        """A clean shutdown: calls that are still open are entered as unfinished."""
        with self._lock:
            self._entering.close_all(now_mono_ns=self._clock.monotonic_ns())
            decided = self._decisions.take()
        self._commit(*decided)

    # Committing ----------------------------------------------------------------------------

    def _commit(self, records: list[Record], notices: list[Notice]) -> None:
        if records:
            try:
                self._write(records)
            finally:
                # Applied in any case, also when a signal's exception comes in between: an ordinal
                # that never arrives would hold back every later one.
                self._apply(records)
        for notice in notices:
            self._tell(notice)

    def _commit_one(self, record: Record, line: bytes) -> None:
        try:
            if self._journal is not None:
                self._append(self._journal, line)
        finally:
            with self._lock:
                self._accounts.apply(record)
                self._count_applied(record.ordinal)
        if self._waiting:
            self._notify()

    def _write(self, records: list[Record]) -> None:
        if self._journal is not None:
            for record in records:
                self._append(self._journal, encode(record))

    def _append(self, journal: Journal, line: bytes) -> None:
        try:
            journal.append(line)
        except OSError as error:
            self._journal_errors += 1
            if self._journal_errors == 1:
                _LOGGER.warning(
                    "The journal cannot be written (%s): counting goes on in memory, "
                    "and what it holds would be lost with this process.",
                    error,
                )

    def _apply(self, records: list[Record]) -> None:
        with self._lock:
            for record in records:
                self._accounts.apply(record)
                self._count_applied(record.ordinal)
        if self._waiting:
            self._notify()

    def _count_applied(self, ordinal: int) -> None:
        if ordinal != self._applied + 1:
            self._applied_ahead.add(ordinal)
            return
        self._applied = ordinal
        while self._applied_ahead and self._applied + 1 in self._applied_ahead:
            self._applied += 1
            self._applied_ahead.remove(self._applied)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _tell(self, notice: Notice) -> None:
        what, report, counts = notice
        for observer in self._observers:
            with _OBSERVER:
                if what == "started":
                    observer.call_started(report)
                elif what == "ended":
                    observer.call_ended(report)
                elif what == "entered":
                    observer.call_entered(report, counts)
                else:
                    observer.call_raised(report, counts)
