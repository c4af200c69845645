"""Random trees of agents: whatever they do, every door tells what the provider's bill tells."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, example, given, settings

from tests.road.doors import billed, differences, usage_of
from tests.road.plan import everything, trees
from tokenbeat.usage import counts as c

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from tests.road.plan import Tree
    from tests.road.playing import Player
    from tests.road.stand import Stand
    from tokenbeat.control_plane.live.background import RunningPlane
    from tokenbeat.testing import ModelServer


@contextmanager
def beating(stand: Stand) -> Generator[None]:
    """Heartbeats go out while the agents run, one after each change of the books."""
    done = threading.Event()

    def beat() -> None:
        revision = 0
        while not done.is_set():
            if stand.ledger.wait_for_change(revision, 0.05):
                revision = stand.ledger.revision
                stand.beat()
                stand.otlp.collect(stand.reader)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@settings(
    max_examples=25,
    # Making a failing tree smaller takes minutes: left to whoever looks into it.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(tree=trees)
@example(tree=everything("invoke", shift=0))
@example(tree=everything("ainvoke", shift=1))
@example(tree=everything("stream", shift=2))
@example(tree=everything("astream", shift=3))
@example(tree=everything("batch", shift=4))
def test_every_door_tells_the_bill_whatever_a_tree_of_agents_does(
    tree: Tree,
    player: Player,
    models: ModelServer,
    plane: RunningPlane,
    new_stand: Callable[[], AbstractContextManager[Stand]],
) -> None:
    models.bill.clear()
    player.cached.clear()
    player.cached_tokens = 0
    with new_stand() as stand:
        with beating(stand):
            player.play(tree)
            assert models.bill.wait_until_settled()
            assert wait_until_closed(stand)
        stand.deliver()
        bill = billed(models.bill, cached=player.cached)
        assert differences(bill, stand.at_all_doors(plane.address)) == []
        # The other ways to split it agree with the bill in its own words.
        by_family = {
            row["model"]: row["tokens"]["total"]
            for row in usage_of(plane.address, stand.service, by="model")["rows"]
            if row["tokens"]["total"]
        }
        assert sum(by_family.values()) == bill.total_tokens
        assert all("202" not in model for model in by_family)
        snapshot = stand.ledger.snapshot()
        cached = sum(snapshot.totals[i] for i in (c.CACHED_INPUT, c.CACHED_OUTPUT))
        assert cached == player.cached_tokens
        assert snapshot.books.unattributed == 0
        assert "drift" not in snapshot.books.anomalies


def wait_until_closed(stand: Stand) -> bool:
    """Waits until no call is open: what was cancelled is noticed a moment later."""
    for _ in range(200):
        if not stand.ledger.snapshot().open:
            return True
        stand.ledger.wait_for_change(stand.ledger.revision, 0.02)
    return False
