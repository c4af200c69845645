"""What a 422 names is found again in the beat that it was about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.heartbeat.holding import Holds, ItemId, read_place
from tokenbeat.heartbeat.identity import Moment
from tokenbeat.heartbeat.isolating import isolate
from tokenbeat.usage.counts import INPUT, ZERO_COUNTS

if TYPE_CHECKING:
    from tokenbeat.heartbeat.delivery import Delivery

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def beat(rig: Any) -> Any:
    """A beat with a closed cut, two cells and a run, and its account."""
    rig.call(100, 0, run="r")
    rig.clock.advance(60_000_000_000)
    rig.call(50, 0, caller="writer", run="r")
    delivery: Delivery = rig.sender.delivery
    moment = Moment(rig.clock.wall_ns(), rig.clock.monotonic_ns())
    outgoing = delivery.compose(rig.ledger.snapshot(), moment=moment)
    return delivery.account, outgoing


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("tokenbeat.cuts[0].cells[0].tokens.input", True),
        ("tokenbeat.cuts[1].cells[0].caller", True),
        ("tokenbeat.cuts[1].cells[7].caller", False),
        ("tokenbeat.cuts[9].cells[0].caller", False),
        ("tokenbeat.cuts[0].at", True),
        ("tokenbeat.cuts[1].at", False),
        ("tokenbeat.runs[0].status", True),
        ("tokenbeat.runs[0].cells[1].tokens.output", True),
        ("tokenbeat.runs[0].cells[2].tokens.output", False),
        ("tokenbeat.runs[1]", False),
        ("usage.models[0].totalTokens", True),
        ("usage.models[1].totalTokens", False),
        ("usage.totalTokens", False),
        ("tokenbeat.books.started", False),
        ("", False),
    ],
)
def test_a_field_belongs_to_something_that_can_be_left_out(
    beat: Any, field: str, *, found: bool
) -> None:
    account, outgoing = beat
    assert isolate(account, outgoing, field=field, largest=None, now_ns=0) is found


def test_a_closed_cut_that_is_refused_twice_is_no_news(beat: Any) -> None:
    account, outgoing = beat
    field = "tokenbeat.cuts[0].at"
    assert isolate(account, outgoing, field=field, largest=None, now_ns=0)
    assert not isolate(account, outgoing, field=field, largest=None, now_ns=0)


def test_places_are_taken_apart() -> None:
    place = read_place("tokenbeat.runs[3].cells[4].tokens.input")
    assert place == (True, 3, 4, "tokens.input")
    assert read_place("tokenbeat.cuts[12]") == (False, 12, None, "")
    assert read_place("tokenbeat.cuts[x]") is None


def test_a_cap_that_is_refused_itself_parks_the_item_for_an_hour() -> None:
    holds, item = Holds(), ItemId()
    high = tuple(500 if index == INPUT else 0 for index in range(len(ZERO_COUNTS)))
    holds.refuse(item, rest="tokens.input", largest=100, now_ns=0)
    assert holds.capped(item, high)[INPUT] == 100
    assert not holds.parked(item, now_ns=0)
    holds.refuse(item, rest="tokens.input", largest=100, now_ns=0)
    assert holds.parked(item, now_ns=HOUR_NS - 1)
    assert not holds.parked(item, now_ns=HOUR_NS)
    assert holds.capped(item, high) == high
    assert not holds
