"""Whatever happens between sender and control plane, afterwards its totals equal the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tokenbeat
from tests.road.operating import road
from tests.road.playing import models as chat_models
from tests.road.relay import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.road.operating import Road
    from tests.road.playing import Player
    from tokenbeat.testing import ModelServer

_PAGE = b"<!doctype html><title>Sign in</title><p>Welcome to the guest network."
_JSON = {"Content-Type": "application/json"}
FAULTS = {
    "500": Fault(status=500, body=b"Internal Server Error"),
    "502 of a gateway": Fault(status=502, headers={"Content-Type": "text/html"}, body=_PAGE),
    "503 with Retry-After": Fault(status=503, headers={"Retry-After": "20"}),
    "429 with Retry-After": Fault(status=429, headers={"Retry-After": "17"}),
    "reset before the request is passed on": Fault(resets="before"),
    "reset after the commit": Fault(resets="after"),
    "204": Fault(status=204),
    "200 with HTML": Fault(status=200, headers={"Content-Type": "text/html"}, body=_PAGE),
    "200 with somebody else's JSON": Fault(status=200, headers=_JSON, body=b'{"ok": true}'),
    "302": Fault(status=302, headers={"Location": "/login"}),
    "404": Fault(status=404, headers=_JSON, body=b'{"detail": "Not Found"}'),
    "400": Fault(status=400, headers=_JSON, body=b'{"detail": "Bad Request"}'),
}


@pytest.fixture
def faulty_road(tmp_path: Path, player: Player, models: ModelServer) -> Iterator[Road]:
    with road(tmp_path, player=player, models=models) as opened:
        yield opened


@pytest.mark.parametrize("at_once", [True, False], ids=["from the first beat", "later"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_after_a_fault_the_totals_equal_the_bill(
    faulty_road: Road, fault: Fault, *, at_once: bool
) -> None:
    if not at_once:
        faulty_road.spend()
        faulty_road.deliver()
    faulty_road.relay.fault = lambda _: fault
    for _ in range(3):
        faulty_road.spend()
        faulty_road.beat()
    faulty_road.relay.fault = lambda _: None
    faulty_road.spend()
    assert faulty_road.deliver() <= 3
    assert faulty_road.wrong_doors() == []
    assert sum(faulty_road.tokens_by_minute().values()) == faulty_road.models.bill.total_tokens


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(faulty_road: Road, status: int) -> None:
    faulty_road.relay.fault = lambda _: Fault(status=status, headers={"Retry-After": "41"})
    faulty_road.spend()
    faulty_road.beat(2)
    assert all(41 <= wait_s <= 41 * 1.1 for wait_s in faulty_road.stand.waits_s)


def test_a_lost_answer_does_not_count_twice_even_if_every_second_one_is_lost(
    faulty_road: Road,
) -> None:
    lost = Fault(resets="after")
    faulty_road.relay.fault = lambda _: lost if len(faulty_road.relay.bodies) % 2 else None
    for _ in range(4):
        faulty_road.spend()
        faulty_road.beat()
    faulty_road.deliver()
    assert 0 in faulty_road.relay.statuses
    assert faulty_road.wrong_doors() == []


def test_a_redirect_is_never_followed_with_the_key(faulty_road: Road) -> None:
    target = f"{faulty_road.relay.url}/elsewhere"
    faulty_road.relay.fault = lambda _: Fault(status=302, headers={"Location": target})
    faulty_road.spend()
    faulty_road.beat()
    assert faulty_road.relay.statuses == [302]


def test_a_limit_on_the_size_of_a_request_delays_and_drops_nothing(
    faulty_road: Road, models: ModelServer
) -> None:
    largest_bytes = 6_000
    faulty_road.relay.fault = lambda body: Fault(status=413) if len(body) > largest_bytes else None
    model = chat_models(models)[1]
    for number in range(60):
        path = f"subagent:helper-{number:02}"
        with tokenbeat.caller(path):
            model.invoke([("system", f"You help. [bill:{path}]"), ("human", "Why?")])
    faulty_road.deliver(beats=60)
    assert 413 in faulty_road.relay.statuses
    taken = [
        len(body)
        for body, status in zip(faulty_road.relay.bodies, faulty_road.relay.statuses, strict=True)
        if status == 200
    ]
    assert max(taken) <= largest_bytes
    assert faulty_road.wrong_doors() == []


def test_a_minute_of_outage_costs_nothing_and_the_right_minutes_are_told_afterwards(
    faulty_road: Road,
) -> None:
    faulty_road.spend()
    faulty_road.deliver()
    faulty_road.relay.stop()
    began_ns = faulty_road.clock.monotonic_ns()
    while faulty_road.clock.monotonic_ns() - began_ns < 150_000_000_000:
        faulty_road.spend()
        faulty_road.beat()
    faulty_road.relay.start()
    faulty_road.spend()
    assert faulty_road.deliver() <= 3
    assert faulty_road.wrong_doors() == []
    assert len(faulty_road.by_minute) >= 3
    assert faulty_road.tokens_by_minute() == faulty_road.by_minute


def test_a_control_plane_that_starts_again_goes_on_where_it_was(faulty_road: Road) -> None:
    faulty_road.spend()
    faulty_road.deliver()
    faulty_road.operator.stop()
    faulty_road.spend()
    faulty_road.operator.start()
    faulty_road.relay.target = faulty_road.operator.plane.address
    faulty_road.spend()
    faulty_road.deliver()
    assert faulty_road.wrong_doors() == []
    assert set(faulty_road.relay.statuses) == {200}


def test_a_lost_database_is_filled_again_once_the_operator_wrote_a_new_key(
    faulty_road: Road,
) -> None:
    for _ in range(3):
        faulty_road.spend()
        faulty_road.beat()
    faulty_road.deliver()
    faulty_road.operator.lose_database()
    faulty_road.relay.target = faulty_road.operator.plane.address
    faulty_road.spend()
    faulty_road.beat(3)
    refused = faulty_road.relay.statuses.count(401)
    assert refused == 1  # the key is not sent again once it was refused
    faulty_road.spend()
    faulty_road.register()
    assert faulty_road.deliver() <= 4
    assert faulty_road.relay.statuses.count(401) == refused
    assert faulty_road.wrong_doors() == []
