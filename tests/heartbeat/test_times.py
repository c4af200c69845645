"""Times on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.heartbeat.times import foreign_time_ns, from_wire, to_wire

LAST_NS = 7_258_118_399_999_000_000


@given(at_ms=st.integers(0, LAST_NS // 1_000_000))
def test_a_moment_comes_back_to_the_millisecond(at_ms: int) -> None:
    text = to_wire(at_ms * 1_000_000 + 999_999)
    assert from_wire(text) == foreign_time_ns(text) == at_ms * 1_000_000


@given(at_ns=st.integers(-(2**70), 2**70))
def test_any_clock_gives_a_time_that_can_be_read(at_ns: int) -> None:
    assert from_wire(to_wire(at_ns)) == min(max(at_ns // 1_000_000 * 1_000_000, 0), LAST_NS)


@pytest.mark.parametrize("text", ["", "2026-02-30T00:00:00.000Z", "1969-12-31T23:59:59.999Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert from_wire(text) is None


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:01.000001+01:00", 1_000_001_000),
        ("1970-01-01T00:00:01", None),
        ("1960-01-01T00:00:01Z", None),
        ("yesterday", None),
    ],
)
def test_other_projects_times_are_read(text: str, at_ns: int | None) -> None:
    assert foreign_time_ns(text) == at_ns
