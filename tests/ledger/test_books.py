"""The ledger itself: notes, observers, snapshots since a revision, waiting, writes out of order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.notices import CallObserver
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.counts import INPUT, OK
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from tests.ledger.conftest import Script
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.counts import Counts


LEAD = Caller().child("lead_agent", "lead")


class Listener(CallObserver):
    """All that an observer is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, int]] = []

    def call_started(self, report: Report) -> None:
        self.heard.append(("started", report.id, 0))

    def call_ended(self, report: Report) -> None:
        self.heard.append(("ended", report.id, int(report.entered)))

    def call_entered(self, report: Report, counts: Counts) -> None:
        self.heard.append(("entered", report.id, counts[INPUT]))

    def call_raised(self, report: Report, counts: Counts) -> None:
        self.heard.append(("raised", report.id, counts[INPUT]))


def test_observers_hear_of_every_step_until_they_leave(script: Script) -> None:
    listener = Listener()
    script.ledger.subscribe(listener)
    script.ledger.subscribe(listener)
    chat = script.framework()
    script.end(chat, (10, 0))
    script.end(chat, (12, 0))
    script.ledger.unsubscribe(listener)
    script.end(script.framework(), (5, 0))
    assert listener.heard == [
        ("started", chat.id, 0), ("entered", chat.id, 10), ("ended", chat.id, 1),
        ("raised", chat.id, 2),
    ]  # fmt: skip


def test_observers_hear_the_same_of_a_call_that_nothing_is_decided_about(script: Script) -> None:
    script.end(script.framework(), (10, 0))
    listener = Listener()
    script.ledger.subscribe(listener)
    chat = script.framework()
    request = script.wire(chat)
    script.end(request, (5, 0))
    script.end(chat, (5, 0))
    plain = script.framework()
    script.end(plain, (7, 0))
    assert listener.heard == [
        ("started", chat.id, 0), ("started", request.id, 0), ("entered", request.id, 5),
        ("ended", request.id, 1), ("ended", chat.id, 0), ("started", plain.id, 0),
        ("entered", plain.id, 7), ("ended", plain.id, 1),
    ]  # fmt: skip


def test_an_observer_that_fails_stops_neither_the_call_nor_the_others(
    script: Script, lenient_guard: None
) -> None:
    del lenient_guard

    class Broken(Listener):
        def call_started(self, report: Report) -> None:
            raise RuntimeError(report.id)

    listener = Listener()
    script.ledger.subscribe(Broken())
    script.ledger.subscribe(listener)
    script.end(script.framework(), (10, 0))
    assert [what for what, _, _ in listener.heard] == ["started", "entered", "ended"]


def test_faults_and_disagreements_are_counted_by_reason(script: Script) -> None:
    script.ledger.anomaly("drift")
    script.ledger.anomaly("drift")
    script.ledger.reconcile("untied", 7)
    script.ledger.reconcile("untied", 5)
    chat = script.framework()
    script.ledger.end(chat, outcome="ok", anomalies=("negative:input_tokens",))
    script.ledger.end(chat, outcome="ok", anomalies=("negative:input_tokens",))
    books = script.ledger.snapshot().books
    assert books.anomalies == {"drift": 2, "negative:input_tokens": 2}
    assert books.reconciliations == {"untied": 12}
    script.assert_replays()


def test_a_snapshot_since_a_revision_lists_what_changed_after_it(script: Script) -> None:
    run = script.ledger.open_run("r1")
    script.end(script.framework(model="a"), (10, 0))
    before = script.ledger.snapshot()
    script.end(script.framework(model="b"), (5, 0))
    after = script.ledger.snapshot(since=before.revision)
    assert [cell.key.request_model for cell in after.cells] == ["b"]
    assert after.runs == ()
    assert after.totals[INPUT] == 15
    script.ledger.close_run(run, status="success")
    changed = script.ledger.snapshot(since=after.revision)
    assert [state.run_id for state in changed.runs] == ["r1"]
    assert script.ledger.snapshot(since=changed.revision).cells == ()


def test_a_snapshot_is_a_copy(script: Script) -> None:
    script.end(script.framework(), (10, 0))
    snapshot = script.ledger.snapshot()
    script.end(script.framework(), (5, 0))
    assert snapshot.totals[INPUT] == snapshot.cells[0].counts[INPUT] == 10


def test_a_reader_waits_for_a_change_and_no_longer(script: Script) -> None:
    assert script.ledger.wait_for_change(script.ledger.revision, 0.01) is False
    revision = script.ledger.revision
    begun = threading.Event()

    def change() -> None:
        begun.wait()
        script.framework()

    thread = threading.Thread(target=change)
    thread.start()
    begun.set()
    assert script.ledger.wait_for_change(revision, 30) is True
    thread.join()


def test_a_reader_that_waits_is_told_of_a_run_too(script: Script) -> None:
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(script.ledger.wait_for_change(0, 30)))
    thread.start()
    while not script.ledger._waiting:
        thread.join(0.001)
    script.ledger.open_run("r1")
    thread.join()
    assert told == [True]


def test_records_that_are_applied_out_of_order_are_all_counted() -> None:
    gate = threading.Event()
    entered = threading.Event()

    class SlowOnce:
        """A journal whose first end takes long: a later call overtakes it."""

        bytes_written = 0
        held = False

        def append(self, line: bytes) -> None:
            if b'"t":"end"' in line and not self.held:
                self.held = True
                entered.set()
                gate.wait(30)

        def sync(self) -> None:
            return

        def close(self) -> None:
            return

    ledger = Ledger(incarnation="a" * 16, clock=ManualClock(), journal=SlowOnce())

    def call(tokens: int) -> None:
        report = ledger.start(
            source="fw", operation="chat", provider="p", request_model="m", caller=LEAD
        )
        ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=tokens))

    first = threading.Thread(target=call, args=(10,))
    first.start()
    assert entered.wait(30)
    call(5)
    during = ledger.snapshot()
    assert (during.totals[INPUT], during.revision) == (5, 1), "nothing after the hole is promised"
    gate.set()
    first.join()
    after = ledger.snapshot(since=during.revision)
    assert (after.totals[INPUT], after.totals[OK], after.revision) == (15, 2, 4)
    assert len(after.cells) == 1


def test_an_interrupt_between_write_and_apply_loses_no_ordinal() -> None:
    class Interrupting:
        bytes_written = 0

        def append(self, line: bytes) -> None:
            if b'"t":"end"' in line:
                raise KeyboardInterrupt

        def sync(self) -> None:
            return

        def close(self) -> None:
            return

    ledger = Ledger(incarnation="a" * 16, clock=ManualClock(), journal=Interrupting())
    report = ledger.start(
        source="fw", operation="chat", provider="p", request_model="m", caller=LEAD
    )
    with pytest.raises(KeyboardInterrupt):
        ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=1))
    assert (ledger.revision, ledger.snapshot().totals[INPUT]) == (2, 1)


def test_without_a_sender_windows_are_given_up(script: Script) -> None:
    script.ledger.expect_sender(True)
    assert script.ledger.acknowledging
    script.ledger.expect_sender(False)
    script.end(script.framework(), (10, 0))
    script.clock.advance(10**12)
    assert script.ledger.snapshot().cuts == ()
