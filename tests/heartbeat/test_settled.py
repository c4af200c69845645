"""What is remembered of the server's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.heartbeat import settled
from tokenbeat.heartbeat.holding import ItemId
from tokenbeat.heartbeat.settled import Settled
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import ZERO_COUNTS

if TYPE_CHECKING:
    import pytest

KEY = CellKey("chat", "openai", "m", None, None, "unattributed")


def of_run(number: int) -> ItemId:
    return ItemId(run=(f"run-{number}", 0), key=KEY)


def test_of_too_many_items_the_oldest_of_runs_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settled, "_MOST_ITEMS", 3)
    held = Settled()
    cell = ItemId(key=KEY)
    held.acknowledge({cell: (1, ZERO_COUNTS)}, revision=1, snapshot=None)
    for number in range(4):
        sent = {of_run(number): (number + 2, ZERO_COUNTS)}
        held.acknowledge(sent, revision=number + 2, snapshot=None)
    assert held.changed(cell) == 1, "cells of the process are always known"
    assert [held.changed(of_run(number)) for number in range(4)] == [None, None, 4, 5]
