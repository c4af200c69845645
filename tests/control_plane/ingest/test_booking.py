"""The arithmetic of ingest and its law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.control_plane.ingest.booking import (
    Booking,
    CountLimits,
    book_cuts,
    book_run,
    bucket_of,
)
from tokenbeat.control_plane.ingest.errors import CountsRefused
from tokenbeat.heartbeat.values import Cell, CutCells
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import FAILED_ATTEMPTS, INPUT, ZERO_COUNTS, add

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.usage.counts import Counts

_MINUTE_NS = 60 * 10**9
_KEYS = [CellKey("chat", "openai", model, None, None, "lead") for model in ("a", "b", "c")]


def _counts(tokens: int) -> Counts:
    counts = list(ZERO_COUNTS)
    counts[INPUT] = tokens
    return tuple(counts)


def _book(cuts: list[CutCells], *, held: Mapping[CellKey, Counts]) -> Booking:
    return book_cuts(
        cuts, held=held, cell_count=len(held), received_ns=10**18, limits=CountLimits()
    )


@pytest.mark.parametrize(
    ("at_ns", "minute"),
    [(0, 0), (1, 1), (_MINUTE_NS - 1, 1), (_MINUTE_NS, 1), (_MINUTE_NS + 1, 2)],
)
def test_a_bucket_holds_its_end_and_not_its_beginning(at_ns: int, minute: int) -> None:
    assert bucket_of(at_ns) == minute


# A history: how much each of three keys rises in each of some minutes.
_HISTORY = st.lists(
    st.tuples(*[st.integers(min_value=0, max_value=5) for _ in _KEYS]), min_size=1, max_size=6
)


@given(data=st.data(), history=_HISTORY)
def test_beats_shuffled_repeated_and_dropped_end_at_the_maximum_and_minutes_add_up(
    data: st.DataObject, history: list[tuple[int, ...]]
) -> None:
    """Cumulative cuts of one incarnation, in beats of any cut and in any order."""
    cuts: list[CutCells] = []
    totals = [0] * len(_KEYS)
    for minute, rises in enumerate(history, start=1):
        totals = [total + rise for total, rise in zip(totals, rises, strict=True)]
        cells = tuple(Cell(key, _counts(total)) for key, total in zip(_KEYS, totals, strict=True))
        cuts.append(CutCells(at_ns=minute * _MINUTE_NS, cells=cells))
    indexes = st.sets(st.integers(min_value=0, max_value=len(cuts) - 1))
    beats = data.draw(st.lists(indexes, min_size=1, max_size=8))
    held: dict[CellKey, Counts] = {}
    minutes: dict[CellKey, Counts] = {}
    for beat in beats:
        booking = _book([cuts[index] for index in sorted(beat)], held=held)
        for (_, key), increase in booking.increases.items():
            assert min(increase) >= 0
            minutes[key] = add(minutes.get(key, ZERO_COUNTS), increase)
        held |= booking.cells
    arrived = [cuts[index] for beat in beats for index in beat]
    greatest = {
        key: max(cell.counts for cut in arrived for cell in cut.cells if cell.key == key)
        for key in _KEYS
        if arrived
    }
    assert held == {key: counts for key, counts in greatest.items() if any(counts)}
    assert minutes == held


@given(values=st.lists(st.integers(min_value=0, max_value=9), min_size=1))
def test_a_run_ends_at_its_greatest_counts(values: list[int]) -> None:
    held: dict[CellKey, Counts] = {}
    for value in values:
        held |= book_run(
            [Cell(_KEYS[0], _counts(value))],
            path="tokenbeat.runs[0]",
            held=held,
            cell_count=len(held),
            limits=CountLimits(),
        )
    assert held.get(_KEYS[0], ZERO_COUNTS) == _counts(max(values))


def test_every_fault_is_named_up_to_a_hundred() -> None:
    key = _KEYS[0]
    many = tuple(Cell(key, _counts(10**11)) for _ in range(150))
    with pytest.raises(CountsRefused) as refused:
        _book([CutCells(at_ns=1, cells=many)], held={})
    assert len(refused.value.faults) == 100


def test_a_failed_attempt_is_named_where_it_stands_in_the_message() -> None:
    counts = list(ZERO_COUNTS)
    counts[FAILED_ATTEMPTS] = 2**62
    with pytest.raises(CountsRefused) as refused:
        _book([CutCells(at_ns=1, cells=(Cell(_KEYS[0], tuple(counts)),))], held={})
    (fault,) = refused.value.faults
    assert (fault.field, fault.largest) == ("tokenbeat.cuts[0].cells[0].failedAttempts", 10**10)


def test_no_limit_lets_a_count_leave_64_bits() -> None:
    held = {_KEYS[0]: _counts(2**63 - 5)}
    with pytest.raises(CountsRefused) as refused:
        _book([CutCells(at_ns=1, cells=(Cell(_KEYS[0], _counts(2**63)),))], held=held)
    assert refused.value.faults[0].largest == 2**63 - 1
