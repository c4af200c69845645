"""Counts add, compare and read by name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage import counts
from tokenbeat.usage.counts import COUNT_FIELDS, WIRE_NAMES, ZERO_COUNTS
from tokenbeat.usage.tokens import TOKEN_FIELDS

VECTOR = st.tuples(*[st.integers(0, 2**63)] * len(COUNT_FIELDS))


def test_each_constant_points_at_the_field_of_its_name() -> None:
    for position, field in enumerate(COUNT_FIELDS):
        constant = field.removesuffix("_tokens").upper()
        assert getattr(counts, constant) == position, field
    assert len(ZERO_COUNTS) == len(COUNT_FIELDS) == 27
    assert COUNT_FIELDS[counts.FIRST_TOKEN : counts.CACHED_INPUT] == TOKEN_FIELDS


def test_each_count_has_one_name_on_the_wire() -> None:
    assert tuple(WIRE_NAMES) == COUNT_FIELDS
    assert len(set(WIRE_NAMES.values())) == len(COUNT_FIELDS)
    assert {group for group, _ in WIRE_NAMES.values()} == {"calls", "tokens", None}


def test_unknown_usage_is_derived() -> None:
    cell = list(ZERO_COUNTS)
    cell[counts.OK] = 7
    cell[counts.ERROR] = 1
    cell[counts.CANCELLED] = 1
    cell[counts.ABANDONED] = 1
    cell[counts.UNFINISHED] = 2
    cell[counts.WITH_USAGE] = 5
    cell[counts.CACHED] = 2
    cell[counts.FAILED_ATTEMPTS] = 100
    assert counts.finished(tuple(cell)) == 12
    assert counts.unknown_usage(tuple(cell)) == 5


def test_the_total_is_what_was_billed() -> None:
    cell = list(range(1, 28))
    assert counts.total_tokens(tuple(cell)) == (
        cell[counts.INPUT] + cell[counts.OUTPUT] + cell[counts.UNCLASSIFIED]
    )


@given(VECTOR, VECTOR)
def test_vectors_add_exactly_and_the_greatest_of_both_holds(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    assert counts.subtract(counts.add(left, right), right) == left
    assert counts.add(left, right) == counts.add(right, left)
    assert counts.add(left, ZERO_COUNTS) == counts.maximum(left, ZERO_COUNTS) == left
    top = counts.maximum(left, right)
    assert top == counts.maximum(right, left) == counts.maximum(top, left)
    assert all(t in pair for t, pair in zip(top, zip(left, right, strict=True), strict=True))
