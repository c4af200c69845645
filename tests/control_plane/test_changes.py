"""The notices that a report would now show something new."""

from __future__ import annotations

import asyncio

from tokenbeat.control_plane.changes import Changes


async def test_who_waits_is_told_the_newest_revision() -> None:
    changes = Changes()
    waiting = [asyncio.create_task(changes.wait("t", after=after)) for after in (0, 1, 1)]
    await asyncio.sleep(0)
    changes.announce("t", revision=1)
    assert await waiting[0] == 1
    assert not waiting[1].done()
    changes.announce("t", revision=5)
    assert [await task for task in waiting[1:]] == [5, 5]


async def test_what_was_already_announced_is_told_at_once() -> None:
    changes = Changes()
    changes.announce("t", revision=3)
    changes.announce("t", revision=2)
    assert await changes.wait("t", after=2) == 3
    assert changes.revision("t") == 3


async def test_another_tenants_news_are_none() -> None:
    changes = Changes()
    waiting = asyncio.create_task(changes.wait("a", after=0))
    await asyncio.sleep(0)
    changes.announce("b", revision=1)
    await asyncio.sleep(0)
    assert not waiting.done()
    changes.close()
    assert await waiting is None


async def test_when_the_server_stops_nobody_waits_any_more() -> None:
    changes = Changes()
    waiting = asyncio.create_task(changes.wait("t", after=0))
    await asyncio.sleep(0)
    changes.close()
    assert await waiting is None
    assert await changes.wait("t", after=0) is None
