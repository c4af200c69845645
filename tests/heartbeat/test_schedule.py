"""Waiting: jitter, back-off, and what servers ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.heartbeat.schedule import Schedule

CHANCE = st.floats(0, 0.999_999)


@given(chance=CHANCE, interval_ms=st.integers(1_000, 600_000))
def test_beats_are_an_interval_apart_give_or_take_a_tenth(chance: float, interval_ms: int) -> None:
    schedule = Schedule(interval_ms=interval_ms, chance=lambda: chance)
    for wait_s in (schedule.succeeded(), schedule.idle()):
        assert 0.899 <= wait_s * 1_000 / interval_ms <= 1.101


@given(chance=CHANCE, failures=st.integers(1, 200))
def test_it_never_backs_off_beyond_the_interval(chance: float, failures: int) -> None:
    schedule = Schedule(interval_ms=30_000, chance=lambda: chance)
    waits_s = [schedule.failed() for _ in range(failures)]
    assert all(0.5 <= wait_s <= 30 for wait_s in waits_s)
    assert schedule.failures == failures
    schedule.succeeded()
    assert schedule.failures == 0


@given(chance=CHANCE, after_s=st.floats(0, 600))
def test_retry_after_is_never_undercut(chance: float, after_s: float) -> None:
    schedule = Schedule(interval_ms=30_000, chance=lambda: chance)
    assert after_s <= schedule.failed(after_s=after_s) <= max(after_s * 1.1, 0.11)


def test_five_replicas_on_one_key_do_not_stay_in_step() -> None:
    drawn = iter([0.0, 0.2, 0.4, 0.6, 0.8])

    def draw() -> float:
        return next(drawn)

    schedules = [Schedule(interval_ms=30_000, chance=draw) for _ in range(5)]
    assert len({schedule.failed() for schedule in schedules}) == 5


def test_a_configured_interval_below_a_second_is_kept() -> None:
    schedule = Schedule(interval_ms=50, chance=lambda: 0.5)
    assert schedule.succeeded() == schedule.succeeded(next_ms=50) == 0.05
    assert schedule.succeeded(more=True) == 0.05
    assert schedule.succeeded(next_ms=1_000) == 1.0
