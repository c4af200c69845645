"""The books of a process: one, made at first use, new after a fork."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.process import ProcessBooks, books, new_incarnation, on_fork, replace_books
from tokenbeat.usage.caller import UNATTRIBUTED
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


@pytest.fixture(autouse=True)
def own_books() -> Iterator[None]:
    before = replace_books(None)
    yield
    replace_books(before)


def test_an_incarnation_is_eighty_random_bits() -> None:
    ids = {new_incarnation() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[a-z2-7]{16}", i) for i in ids)


def test_the_books_are_made_once_and_can_be_replaced() -> None:
    first = books()
    assert books() is first
    other = Ledger(incarnation="b" * 16, clock=ManualClock())
    assert replace_books(other) is first
    assert books() is other


def _in_child(pipe: Connection) -> None:
    ledger = books()
    report = ledger.start(
        source="fw", operation="chat", provider="p", request_model="m", caller=UNATTRIBUTED
    )
    ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=1))
    snapshot = ledger.snapshot()
    pipe.send((ledger.incarnation, snapshot.totals[10], snapshot.open))


def test_a_forked_child_is_a_new_incarnation_with_zeroed_books() -> None:
    told: list[int] = []
    on_fork(lambda: told.append(os.getpid()))
    parent = books()
    report = parent.start(
        source="fw", operation="chat", provider="p", request_model="m", caller=UNATTRIBUTED
    )
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(there,))
    child.start()
    incarnation, tokens, still_open = here.recv()
    child.join()
    assert incarnation != parent.incarnation
    assert (tokens, still_open) == (1, 0)
    assert parent.snapshot().totals[10] == 0
    assert parent.snapshot().open == 1
    parent.end(report, outcome="ok")
    assert told == []


def test_two_threads_that_ask_first_get_the_same_books() -> None:
    process = ProcessBooks()
    mine = Ledger(incarnation="c" * 16, clock=ManualClock())
    got: list[Ledger] = []
    with process._lock:
        thread = threading.Thread(target=lambda: got.append(process.get()))
        thread.start()
        process._ledger = mine
    thread.join()
    assert got == [mine]
    assert process.get() is mine


def test_renewing_forgets_the_books_and_then_tells_who_asked(lenient_guard: None) -> None:
    del lenient_guard
    process = ProcessBooks()
    before = process.get()
    told: list[Ledger] = []

    def fails() -> None:
        raise RuntimeError

    process.on_fork(fails)
    process.on_fork(lambda: told.append(process.get()))
    process.renew()
    assert told == [process.get()]
    assert process.get() is not before
