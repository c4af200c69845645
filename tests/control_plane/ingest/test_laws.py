"""The same law through HTTP and a database: whatever the network does to beats."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers


@pytest.mark.parametrize("seed", range(5))
async def test_beats_dropped_doubled_and_shuffled_end_at_the_maximum(
    any_lab: Lab, beat: Any, cell: Any, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 a seeded test
    names = ["lead", "sub", "mid"]
    totals = dict.fromkeys(names, 0)
    sent: list[Any] = []
    for minute in range(1, 8):
        for name in names:
            totals[name] += chance.randrange(100)
        cells = [cell(name, tokens) for name, tokens in totals.items()]
        runs = [
            {"run": "r", "status": "open", "startedAt": "2026-04-01T00:00:00.000Z", "cells": cells}
        ]
        sent.append(
            beat(
                (minute * 60, cells), revision=minute, sent=minute * 60, runs=runs, base=minute - 1
            )
        )
    arriving = [message for message in sent for _ in range(chance.choice([0, 1, 1, 2]))]
    arriving.append(sent[-1])
    chance.shuffle(arriving)
    for message in arriving:
        assert (await any_lab.send(message)).status_code == 200
    cells_now = await any_lab.cells()
    assert {at[1]: counts.get("input_tokens", 0) for at, counts in cells_now.items()} == totals
    runs_now = await any_lab.runs()
    assert {at[2]: counts.get("input_tokens", 0) for at, counts in runs_now.items()} == totals
    assert await any_lab.buckets_equal_cells()


async def test_parallel_beats_of_one_incarnation_are_taken_one_after_the_other(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.key()

    def message(n: int) -> Any:
        cells = [cell("lead", n), cell(f"c{n}", 1)]
        return beat((60, cells), revision=n, sender="sidecar")

    answers = await asyncio.gather(*(any_lab.send(message(n)) for n in range(1, 21)))
    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.json()["revision"] for answer in answers) == 20
    cells = await any_lab.cells()
    assert len(cells) == 21
    assert cells["abcdefgh234567ab", "lead"]["input_tokens"] == 20
    assert await any_lab.buckets_equal_cells()


async def test_parallel_beats_of_many_incarnations_do_not_wait_in_a_ring(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    """All bring the same new keys, in different orders, half of them under a fleet's key."""
    agent = await any_lab.key()
    fleet = await any_lab.key("everything", kind="fleet")
    names = [f"c{n}" for n in range(12)]

    async def one(number: int) -> int:
        chance = random.Random(number)  # noqa: S311 a seeded test
        service, key = ("research", agent) if number % 2 else (f"s{number % 3}", fleet)
        cells = [cell(name, 3) for name in chance.sample(names, k=len(names))]
        runs = [
            {
                "run": "r",
                "status": "open",
                "startedAt": "2026-04-01T00:00:00.000Z",
                "cells": chance.sample(cells, k=6),
            }
        ]
        incarnation = "a" * 15 + "abcdefghijklmnopqrstuvwxyz234567"[number]
        message = beat((60, cells), service=service, incarnation=incarnation, runs=runs)
        return (await any_lab.send(message, key=key)).status_code

    assert set(await asyncio.gather(*(one(number) for number in range(24)))) == {200}
    cells = await any_lab.cells()
    assert sum(counts["input_tokens"] for counts in cells.values()) == 24 * 12 * 3
    assert await any_lab.buckets_equal_cells()


async def test_parallel_windows_of_replicas_on_one_key_pass_one_in_ten_seconds(
    any_lab: Lab,
) -> None:
    await any_lab.key()
    statuses = [
        answer.status_code
        for answer in await asyncio.gather(
            *(any_lab.send({"health": {}, "gap": {}}) for _ in range(5))
        )
    ]
    assert sorted(statuses) == [204, 429, 429, 429, 429]


async def test_a_revision_is_announced_after_each_commit_that_shows(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.key()
    before = any_lab.plane.changes.revision("default")
    waiting = asyncio.create_task(any_lab.plane.changes.wait("default", after=before))
    await any_lab.send(beat((30, [cell("lead", 1)])))
    assert await asyncio.wait_for(waiting, timeout=5) == before + 1
