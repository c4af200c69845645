"""The thread: one request in flight, a bounded end, errors that do not end it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.heartbeat.beating import Beating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def beating(rig: Any) -> Iterator[Callable[..., Beating]]:
    made: list[Beating] = []

    def make(**arguments: Any) -> Beating:
        made.append(Beating(rig.sender, books=lambda: rig.ledger, clock=SYSTEM_CLOCK, **arguments))
        return made[-1]

    yield make
    for one in made:
        one.stop(timeout_s=1)


def until(holds: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_server_slower_than_the_interval_has_one_request_in_flight(
    rig: Any, beating: Any, new_receiver: Any
) -> None:
    receiver, in_flight, most = new_receiver(), [0], [0]
    gate = threading.Event()

    def slow(body: bytes) -> Any:
        in_flight[0] += 1
        most[0] = max(most[0], in_flight[0])
        gate.wait(0.05)
        in_flight[0] -= 1
        return receiver.receive(body)

    rig.answers = slow
    rig.sender = rig.new_sender(interval_ms=1)
    thread = beating()
    thread.begin()
    flushes = [threading.Thread(target=thread.flush, kwargs={"timeout_s": 10}) for _ in range(3)]
    for flush in flushes:
        flush.start()
    for flush in flushes:
        flush.join()
    assert most == [1]
    assert len(rig.transport.bodies) >= 2


def test_the_end_is_bounded_also_with_a_request_in_flight(
    rig: Any, beating: Any, reply: Any
) -> None:
    gate, arrived = threading.Event(), threading.Event()

    def hangs(_: bytes) -> Any:
        arrived.set()
        gate.wait(20)
        return reply(500)

    rig.answers = hangs
    thread = beating()
    thread.begin()
    assert arrived.wait(10)
    started_s = time.monotonic()
    thread.stop(timeout_s=0.2)
    assert time.monotonic() - started_s < 2
    gate.set()


def test_a_call_just_before_the_end_is_sent(rig: Any, beating: Any, new_receiver: Any) -> None:
    receiver = new_receiver()
    rig.answers = receiver.receive
    thread = beating()
    thread.watch()
    rig.call(100, 20)
    thread.stop()
    assert receiver.total("tokens.input") == 100
    assert rig.last["tokenbeat"]["final"] is True


def test_what_does_not_fit_into_the_final_beat_follows(
    rig: Any, beating: Any, new_receiver: Any
) -> None:
    receiver = new_receiver()
    rig.answers = receiver.receive
    thread = beating()
    thread.watch()
    for number in range(400):
        rig.call(1, 0, model=f"{number}-" + "m" * 200)
    thread.stop()
    assert receiver.total("tokens.input") == 400
    assert len(rig.transport.bodies) > 1


def test_an_error_of_ours_does_not_end_the_beats(
    rig: Any, beating: Any, new_receiver: Any, lenient_guard: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = new_receiver()
    rig.answers = receiver.receive
    monkeypatch.setattr("tokenbeat.heartbeat.beating._AFTER_ERROR_S", 0.01)
    left = [1]

    def stumbles() -> None:
        if left:
            left.pop()
            raise ZeroDivisionError

    thread = beating(before_beat=stumbles)
    rig.call(100, 0)
    thread.begin()
    until(lambda: receiver.total("tokens.input") == 100)
    assert thread.running


def test_flushing_a_thread_that_does_not_run_says_no(beating: Any) -> None:
    thread = beating()
    assert not thread.flush(timeout_s=1)
    thread.begin()
    thread.stop()
    assert not thread.flush(timeout_s=1)
    assert not thread.running


def test_a_flush_that_takes_too_long_says_no(rig: Any, beating: Any, reply: Any) -> None:
    gate = threading.Event()

    def late(_: bytes) -> Any:
        gate.wait(20)
        return reply(500)

    rig.answers = late
    thread = beating()
    thread.begin()
    assert not thread.flush(timeout_s=0.1)
    gate.set()


def test_while_it_ends_a_flush_says_no(rig: Any, beating: Any, reply: Any) -> None:
    gate, arrived = threading.Event(), threading.Event()

    def hangs(_: bytes) -> Any:
        arrived.set()
        gate.wait(20)
        return reply(500)

    rig.answers = hangs
    thread = beating()
    thread.begin()
    assert arrived.wait(10)
    ending = threading.Thread(target=thread.stop, kwargs={"timeout_s": 5})
    ending.start()
    until(lambda: thread._stopping_by_ns is not None)
    assert not thread.flush(timeout_s=5)
    gate.set()
    ending.join()


def test_an_end_without_any_time_sends_no_final_beat(
    rig: Any, beating: Any, new_receiver: Any
) -> None:
    rig.answers = new_receiver().receive
    thread = beating()
    rig.call(100, 20)
    thread.begin()
    until(lambda: bool(rig.transport.bodies))
    inner = thread._thread
    # The thread finds its time over however quick it is: the end was due before it was asked for.
    with thread._changed:
        thread._stopping_by_ns = 0
        thread._changed.notify_all()
    inner.join(10)
    assert not inner.is_alive()
    assert all(not message["tokenbeat"]["final"] for message in rig.transport.messages)


def test_a_child_beats_only_if_the_parent_did(rig: Any, beating: Any) -> None:
    thread = beating()
    thread.begin_child()
    assert not thread.running
    thread.watch()
    before = thread._thread
    thread.begin_child()
    assert thread.running
    assert thread._thread is not before
    thread.stop()
