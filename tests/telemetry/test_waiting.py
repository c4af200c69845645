"""What waits is recorded once, in order, and never in the way of others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tokenbeat.telemetry.waiting import WaitingRoom

if TYPE_CHECKING:
    import pytest


def test_draining_takes_what_is_there_and_not_what_comes_in_meanwhile() -> None:
    room = WaitingRoom()
    seen: list[int] = []

    def record(number: int) -> None:
        seen.append(number)
        room.add(record, number + 1)

    room.add(record, 0)
    room.drain()
    assert (seen, len(room)) == ([0], 1)


def test_draining_gives_other_threads_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr("tokenbeat.telemetry.waiting.time.sleep", naps.append)
    room = WaitingRoom()
    done: list[int] = []
    for number in range(250):
        room.add(done.append, number)
    room.drain()
    assert naps == [0, 0]
    assert done == list(range(250))


def test_a_full_room_records_the_oldest_for_each_new_one() -> None:
    room = WaitingRoom(most=2)
    seen: list[int] = []
    for number in range(5):
        room.add(seen.append, number)
    assert (seen, len(room)) == ([0, 1, 2], 2)


def test_many_threads_lose_nothing_and_record_nothing_twice() -> None:
    room = WaitingRoom(most=50)
    seen: list[int] = []

    def add(first: int) -> None:
        for number in range(first, first + 500):
            room.add(seen.append, number)
            if number % 100 == 0:
                room.drain()

    threads = [threading.Thread(target=add, args=(n * 500,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    room.drain()
    assert sorted(seen) == list(range(3_000))


def test_a_child_forgets_what_its_parent_records() -> None:
    room = WaitingRoom()
    seen: list[int] = []
    room.add(seen.append, 1)
    room.forget()
    room.drain()
    assert seen == []
