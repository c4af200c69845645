"""`tokenbeat.run`: which run calls belong to, as the user says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import tokenbeat
from tokenbeat.attribution import current_scope
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.process import new_incarnation, replace_books

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK)
    before = replace_books(ledger)
    yield ledger
    replace_books(before)


def run_id() -> str | None:
    scope = current_scope()
    return None if scope is None or scope.run is None else scope.run.run_id


def test_a_run_opens_and_closes(ledger: Ledger) -> None:
    with tokenbeat.run(run_id="r", thread_id="t", user="u", labels={"a": "b"}):
        assert run_id() == "r"
        assert ledger.snapshot().runs[0].status == "open"
    (run,) = ledger.snapshot().runs
    assert (run.run_id, run.thread_id, run.user, run.labels) == ("r", "t", "u", {"a": "b"})
    assert run.status == "success"
    assert run_id() is None


def test_a_run_without_an_id_gets_one(ledger: Ledger) -> None:
    with tokenbeat.run(new_id=lambda: "made"):
        assert run_id() == "made"
    with tokenbeat.run():
        first = run_id()
    with tokenbeat.run():
        assert run_id() not in {first, None}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError(), "error"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (TimeoutError(), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (GeneratorExit(), "abandoned"),
    ],
)
def test_what_leaves_a_run_is_its_status(ledger: Ledger, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), tokenbeat.run(run_id="r"):
        raise error
    assert ledger.snapshot().runs[0].status == status


def test_a_run_adds_no_step_to_the_path(ledger: Ledger) -> None:
    with tokenbeat.caller("lead_agent"), tokenbeat.run(run_id="r"):
        scope = current_scope()
        assert scope is not None
        assert scope.caller.path == "lead_agent"
        with tokenbeat.caller("tool:x"):
            assert run_id() == "r"


def test_an_inner_run_takes_over_until_it_ends(ledger: Ledger) -> None:
    with tokenbeat.run(run_id="outer"):
        with tokenbeat.run(run_id="inner"):
            assert run_id() == "inner"
        assert run_id() == "outer"


async def test_a_decorated_coroutine_is_a_run_each_time(ledger: Ledger) -> None:
    seen: list[str | None] = []

    @tokenbeat.run(thread_id="t")
    async def work() -> None:
        await asyncio.sleep(0)
        seen.append(run_id())

    await asyncio.gather(work(), work())
    assert len(set(seen)) == 2
    assert {run.status for run in ledger.snapshot().runs} == {"success"}


def test_an_id_used_again_continues_its_run(ledger: Ledger) -> None:
    for _ in range(2):
        with tokenbeat.run(run_id="r"):
            pass
    (run,) = ledger.snapshot().runs
    assert run.status == "success"
