"""Cuts: cumulative cells at minute boundaries; thinning loses resolution and never a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.bounds import DEFAULT_BOUNDS, SECOND_NS
from tokenbeat.ledger.cuts import DAY_NS, HOUR_NS, MINUTE_NS, Cuts
from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.counts import INPUT
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from tests.ledger.conftest import Script

KEY = CellKey("chat", "openai", "m", None, None, "lead")
NOON_NS = 1_700_049_600 * SECOND_NS


def test_a_minutes_calls_stand_in_the_cut_that_ends_it(script: Script) -> None:
    start_ns = script.clock.wall_ns()
    boundary_ns = (start_ns // MINUTE_NS + 1) * MINUTE_NS
    script.end(script.framework(), (10, 0))
    script.clock.advance(2 * MINUTE_NS)
    script.end(script.framework(), (7, 0))
    snapshot = script.ledger.snapshot()
    assert [(cut.at_ns, [c[INPUT] for c in cut.cells.values()]) for cut in snapshot.cuts] == [
        (boundary_ns, [10])
    ]
    assert snapshot.totals[INPUT] == 17


def test_an_idle_minute_makes_no_cut_and_a_snapshot_closes_a_finished_one(script: Script) -> None:
    script.end(script.framework(), (10, 0))
    assert script.ledger.snapshot().cuts == ()
    script.clock.advance(10 * MINUTE_NS)
    assert len(script.ledger.snapshot().cuts) == 1
    script.clock.advance(10 * MINUTE_NS)
    assert len(script.ledger.snapshot().cuts) == 1


def test_a_clock_that_is_set_back_makes_no_cut_before_an_earlier_one(script: Script) -> None:
    script.end(script.framework(), (10, 0))
    script.clock.advance(MINUTE_NS)
    script.clock.step_wall(-HOUR_NS)
    script.end(script.framework(), (7, 0))
    script.clock.advance(MINUTE_NS)
    times = [cut.at_ns for cut in script.ledger.snapshot().cuts]
    assert times == sorted(times)


def test_nobody_to_receive_them_means_no_cuts() -> None:
    clock = ManualClock()
    ledger = Ledger(incarnation="a" * 16, clock=clock, keep_cuts=False)
    report = ledger.start(
        source="fw", operation="chat", provider="p", request_model="m",
        caller=Caller().child("lead_agent", "l"), member_of=CallToken(),
    )  # fmt: skip
    ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=1))
    clock.advance(5 * MINUTE_NS)
    assert ledger.snapshot().cuts == ()


def test_a_day_at_one_change_a_minute_keeps_sixty_minutes_and_the_hours_before() -> None:
    cuts = Cuts(bounds=DEFAULT_BOUNDS)
    for minute in range(24 * 60):
        now_ns = NOON_NS + minute * MINUTE_NS
        cuts.close_before(now_ns, lambda _: (minute,))  # noqa: B023 called at once
        cuts.touch(KEY, now_ns)
    kept = cuts.kept()
    assert len(kept) <= 60 + 24
    assert len([cut for cut in kept if cut.at_ns % HOUR_NS]) <= 60
    assert kept[-1].cells[KEY] == (24 * 60 - 1,)


@given(st.lists(st.tuples(st.integers(1, 3 * DAY_NS), st.integers(0, 2)), max_size=60))
def test_thinned_cuts_rise_in_time_and_end_at_the_same_level(steps: list[tuple[int, int]]) -> None:
    cuts = Cuts(bounds=DEFAULT_BOUNDS)
    keys = [KEY._replace(caller=str(n)) for n in range(3)]
    levels = dict.fromkeys(keys, 0)
    now_ns = NOON_NS
    closed_levels: dict[CellKey, int] = {}
    for wait_ns, index in steps:
        now_ns += wait_ns
        before = cuts.kept()[-1:]
        cuts.close_before(now_ns, lambda key: (levels[key],))
        if cuts.kept()[-1:] != before:
            closed_levels = {k: v for k, v in levels.items() if v}
        levels[keys[index]] += 1
        cuts.touch(keys[index], now_ns)
    kept = cuts.kept()
    times = [cut.at_ns for cut in kept]
    assert times == sorted(set(times))
    assert len(kept) <= 60 + 48 + 30 + 2
    seen: dict[CellKey, int] = {}
    for cut in kept:
        for key, (level,) in cut.cells.items():
            assert level >= seen.get(key, 0), "cumulative counts never fall from cut to cut"
            seen[key] = level
    assert seen == closed_levels


def test_cuts_past_thirty_days_are_merged_into_the_next() -> None:
    cuts = Cuts(bounds=DEFAULT_BOUNDS)
    for day in range(40):
        now_ns = NOON_NS + day * DAY_NS
        cuts.close_before(now_ns, lambda _: (day,))  # noqa: B023 called at once
        cuts.touch(KEY, now_ns)
    kept = cuts.kept()
    assert len(kept) <= 32
    assert kept[0].cells[KEY][0] > 5
