"""Runs: all statuses count, late usage is added, a run id used again goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.ledger.records import RunChange
from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.counts import total_tokens
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Script
    from tokenbeat.ledger.report import RunRef
    from tokenbeat.ledger.snapshot import RunState


def call(script: Script, run: RunRef, tokens: int, *, caller: Caller | None = None) -> None:
    report = script.ledger.start(
        source="fw", operation="chat", provider="openai", request_model="gpt-4o",
        caller=caller or script.lead, run=run, member_of=CallToken(),
    )  # fmt: skip
    script.end(report, (tokens, 0))


def tokens_of(state: RunState) -> int:
    return sum(total_tokens(cell.counts) for cell in state.cells)


def test_a_run_shows_each_call_at_once_and_keeps_its_facts(script: Script) -> None:
    run = script.ledger.open_run(
        "r1", thread_id="t1", root_agent="lead", user="ann", labels={"team": "red"}
    )
    call(script, run, 15)
    (state,) = script.ledger.snapshot().runs
    assert (state.run_id, state.thread_id, state.user, state.labels, state.status) == (
        "r1", "t1", "ann", {"team": "red"}, "open",
    )  # fmt: skip
    assert tokens_of(state) == 15
    script.ledger.close_run(run, status="interrupted")
    (state,) = script.ledger.snapshot().runs
    assert (state.status, tokens_of(state), state.late) == ("interrupted", 15, False)
    script.assert_replays()


def test_usage_after_the_end_of_a_run_is_added_and_marked_late(script: Script) -> None:
    run = script.ledger.open_run("r1")
    call(script, run, 220)
    script.ledger.close_run(run, status="timeout")
    call(script, run, 80)
    (state,) = script.ledger.snapshot().runs
    assert (tokens_of(state), state.late, state.status) == (300, True, "timeout")
    script.assert_replays()


def test_a_run_id_used_again_continues_the_run(script: Script) -> None:
    for tokens in (10, 20):
        run = script.ledger.open_run("r1")
        call(script, run, tokens)
        script.ledger.close_run(run, status="success")
    (state,) = script.ledger.snapshot().runs
    assert tokens_of(state) == 30
    script.assert_replays()


def test_a_run_opened_twice_at_once_ends_with_its_last_close(script: Script) -> None:
    first, second = script.ledger.open_run("r1"), script.ledger.open_run("r1", user="ann")
    script.ledger.close_run(first, status="success")
    assert script.ledger.snapshot().runs[0].status == "open"
    script.ledger.close_run(second, status="error")
    script.ledger.close_run(second, status="success")
    (state,) = script.ledger.snapshot().runs
    assert (state.status, state.user) == ("error", "ann")


def test_instances_exist_in_run_cells_and_not_in_cells(script: Script) -> None:
    run = script.ledger.open_run("r1")
    lead = Caller().child("lead_agent", "lead")
    for instance, tokens in ((1, 120), (2, 240)):
        call(script, run, tokens, caller=lead.child("subagent", "research", instance=instance))
    snapshot = script.ledger.snapshot()
    assert {c.key.caller: total_tokens(c.counts) for c in snapshot.runs[0].cells} == {
        "lead/subagent:research": 120, "lead/subagent:research#2": 240,
    }  # fmt: skip
    assert [c.key.caller for c in snapshot.cells] == ["lead/subagent:research"]


def test_past_the_bound_new_runs_are_entered_in_the_run_other(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds(runs=2))
    for number in range(5):
        run = script.ledger.open_run(f"r{number}", user="ann")
        call(script, run, 10)
        script.ledger.close_run(run, status="success")
    totals = {run.run_id: tokens_of(run) for run in script.ledger.snapshot().runs}
    assert totals == {"r0": 10, "r1": 10, "other": 30}
    script.assert_replays()


def test_a_forgotten_runs_late_usage_opens_a_new_part(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds())
    run = script.ledger.open_run("r1", thread_id="t1")
    call(script, run, 100)
    script.ledger.close_run(run, status="timeout")
    (first,) = script.ledger.snapshot().runs
    script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
    assert script.ledger.snapshot().runs == ()
    call(script, run, 80)
    (second,) = script.ledger.snapshot().runs
    assert (second.run_id, second.thread_id, tokens_of(second)) == ("r1", "t1", 80)
    assert second.part > first.part
    assert script.totals()["input_tokens"] == 180


def test_where_a_sender_acknowledges_runs_they_wait_for_it(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds())
    script.ledger.acknowledging = True
    run = script.ledger.open_run("r1")
    call(script, run, 100)
    script.ledger.close_run(run, status="success")
    script.clock.advance(24 * 3_600 * SECOND_NS)
    assert len(script.ledger.snapshot().runs) == 1
    script.ledger.acknowledge(script.ledger.revision)
    assert script.ledger.snapshot().runs == ()


def test_ids_and_labels_are_bounded(script: Script) -> None:
    script.ledger.open_run(
        "x" * 500, user="u" * 500, labels={f"l{n}": "v" * 500 for n in range(50)}
    )
    (state,) = script.ledger.snapshot().runs
    assert (len(state.run_id), len(state.user or ""), len(state.labels)) == (128, 128, 16)
    assert all(len(value) == 128 for value in state.labels.values())


def test_a_run_without_calls_shows_zero(script: Script) -> None:
    script.ledger.open_run("r1")
    assert script.ledger.snapshot().runs[0].cells == ()
    assert script.ledger.snapshot().totals[10] == 0


def test_a_call_that_outlives_its_run_in_memory_is_still_counted_once(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds(sweep_ns=10**18))
    run = script.ledger.open_run("r1")
    report = script.ledger.start(
        source="fw", operation="chat", provider="openai", request_model="m", caller=script.lead,
        run=run, member_of=CallToken(),
    )  # fmt: skip
    script.ledger.close_run(run, status="timeout")
    script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
    script.ledger.snapshot()
    script.ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=80))
    (state,) = script.ledger.snapshot().runs
    assert tokens_of(state) == script.totals()["input_tokens"] == 80


def test_a_forgotten_run_that_is_opened_again_takes_the_old_calls_usage_too(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds())
    old = script.ledger.open_run("r1")
    script.ledger.close_run(old, status="success")
    script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
    script.ledger.snapshot()
    script.ledger.open_run("r1")
    call(script, old, 80)
    (state,) = script.ledger.snapshot().runs
    assert tokens_of(state) == 80


def test_a_part_that_only_took_late_usage_is_forgotten_as_well(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds())
    old = script.ledger.open_run("r1")
    script.ledger.close_run(old, status="success")
    for _ in range(2):
        script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
        assert script.ledger.snapshot().runs == ()
        call(script, old, 80)
        assert len(script.ledger.snapshot().runs) == 1


def test_facts_that_come_later_are_added_to_a_run(script: Script) -> None:
    script.ledger.open_run("r1")
    script.ledger.open_run("r1")
    script.ledger.open_run("r1", labels={"team": "red"})
    (state,) = script.ledger.snapshot().runs
    assert state.labels == {"team": "red"}


def test_two_parts_of_a_run_are_forgotten_each_in_its_time(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds())
    first = script.ledger.open_run("r1")
    script.ledger.close_run(first, status="success")
    script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
    script.ledger.snapshot()
    call(script, first, 80)
    second = script.ledger.open_run("r1")
    script.ledger._accounts.apply(RunChange(10_000, 1, "r1", 9_999, "success"))
    assert script.ledger.snapshot().runs != ()
    script.ledger.close_run(second, status="success")
    script.clock.advance(Bounds().run_forgotten_ns + SECOND_NS)
    assert script.ledger.snapshot().runs == ()
