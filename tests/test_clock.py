"""Two clocks, integers of nanoseconds, and one that a test can move."""

from __future__ import annotations

import time

import pytest

from tokenbeat.clock import SYSTEM_CLOCK, Clock, ManualClock, TimeRunsForward


def test_the_system_clock_tells_the_machines_time_as_integers() -> None:
    before = (time.time_ns(), time.monotonic_ns())
    told = (SYSTEM_CLOCK.wall_ns(), SYSTEM_CLOCK.monotonic_ns())
    after = (time.time_ns(), time.monotonic_ns())
    assert [type(part) for part in told] == [int, int]
    assert before[0] <= told[0] <= after[0]
    assert before[1] <= told[1] <= after[1]


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(now_wall_ns=100, now_monotonic_ns=7)
    asked: Clock = clock
    assert (asked.wall_ns(), asked.monotonic_ns()) == (100, 7)
    clock.advance(5)
    assert (asked.wall_ns(), asked.monotonic_ns()) == (105, 12)


def test_a_step_of_the_wall_clock_is_no_time_passed() -> None:
    clock = ManualClock(now_wall_ns=100)
    clock.step_wall(-60)
    assert (clock.wall_ns(), clock.monotonic_ns()) == (40, 0)


def test_time_does_not_run_back() -> None:
    with pytest.raises(TimeRunsForward, match="-1 ns") as caught:
        ManualClock().advance(-1)
    assert caught.value.duration_ns == -1
