"""A heartbeat that comes twice, late or out of order changes nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.road.doors import billed, differences, reported, usage_of
from tests.road.operating import Operator, road
from tests.road.stand import register

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.road.operating import Road
    from tests.road.playing import Player
    from tokenbeat.control_plane.live.background import RunningPlane
    from tokenbeat.testing import ModelServer

_MINUTE_NS = 60_000_000_000


@pytest.fixture
def busy_road(tmp_path: Path, player: Player, models: ModelServer) -> Iterator[Road]:
    """A road on which beats went out while an agent ran for some minutes."""
    with road(tmp_path, player=player, models=models) as opened:
        for _ in range(5):
            opened.spend()
            opened.beat()
            opened.clock.advance(_MINUTE_NS // 2)
        opened.deliver()
        assert opened.wrong_doors() == []
        yield opened


def send(plane: RunningPlane, bodies: Iterable[bytes], *, key: str) -> set[int]:
    """Sends bodies as they are; what was answered."""
    with httpx.Client(base_url=plane.address) as client:
        return {
            client.post(
                "/api/v1/heartbeat",
                content=body,
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            ).status_code
            for body in bodies
        }


@pytest.mark.parametrize("seed", range(3))
def test_beats_that_come_again_twice_and_in_any_order_change_nothing(
    busy_road: Road, seed: int
) -> None:
    bodies = busy_road.relay.bodies * 2
    random.Random(seed).shuffle(bodies)  # noqa: S311 an order, no secret
    before = busy_road.tokens_by_minute()
    key = busy_road.stand.key_file.read_text(encoding="utf-8")
    answered = send(busy_road.operator.plane, bodies, key=key)
    # An old beat names none of the nonces since: it looks like a clone's, and nothing is stored.
    assert answered <= {200, 409}
    assert busy_road.wrong_doors() == []
    assert busy_road.tokens_by_minute() == before
    busy_road.spend()
    assert busy_road.deliver() <= 3
    assert busy_road.wrong_doors() == []


@pytest.mark.parametrize("seed", range(3))
def test_beats_that_come_to_an_empty_control_plane_in_any_order_make_the_bill(
    busy_road: Road, seed: int, tmp_path: Path
) -> None:
    bodies = busy_road.relay.bodies * 2
    random.Random(seed).shuffle(bodies)  # noqa: S311 an order, no secret
    other = Operator(tmp_path / "other", clock=busy_road.clock)
    try:
        key_file = tmp_path / "other.key"
        register(other.plane, busy_road.stand.service, key_file=key_file)
        answered = send(other.plane, bodies, key=key_file.read_text(encoding="utf-8"))
        assert answered <= {200, 409}
        told = reported(usage_of(other.plane.address, busy_road.stand.service))
        assert differences(billed(busy_road.models.bill), {"other": told}) == []
    finally:
        other.stop()
