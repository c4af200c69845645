"""The guard keeps our errors from the application and never loses one quietly."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import timeit

import pytest

from tokenbeat import guard
from tokenbeat.clock import ManualClock
from tokenbeat.guard import Contained, ErrorRegister, contained, guarded_errors, is_strict

MINUTE_NS = 60_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def register(clock: ManualClock) -> ErrorRegister:
    return ErrorRegister(monotonic_ns=clock.monotonic_ns)


def fail(place: Contained, error: BaseException) -> None:
    with place:
        raise error


def test_an_error_is_counted_by_place_and_goes_no_further(register: ErrorRegister) -> None:
    here = Contained("here", register=register)
    there = Contained("there", register=register)
    fail(here, ValueError("one"))
    fail(here, KeyError("two"))
    fail(there, ValueError("three"))
    assert dict(register.counts()) == {"here": 2, "there": 1}


def test_a_good_path_counts_nothing(register: ErrorRegister) -> None:
    with Contained("here", register=register):
        pass
    assert dict(register.counts()) == {}


@pytest.mark.parametrize(
    "passing", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError()]
)
def test_what_is_not_an_error_passes_and_is_not_counted(
    register: ErrorRegister, passing: BaseException
) -> None:
    with pytest.raises(type(passing)):
        fail(Contained("here", register=register), passing)
    assert dict(register.counts()) == {}


def test_strict_mode_counts_and_lets_the_same_error_through(register: ErrorRegister) -> None:
    register.strict = True
    error = ValueError("seen")
    with pytest.raises(ValueError, match="seen") as caught:
        fail(Contained("here", register=register), error)
    assert caught.value is error
    assert dict(register.counts()) == {"here": 1}


def test_this_suite_is_strict() -> None:
    assert is_strict()
    with pytest.raises(ZeroDivisionError):
        fail(contained("tests.strict"), ZeroDivisionError())


@pytest.mark.usefixtures("lenient_guard")
def test_the_process_counts_what_it_contained() -> None:
    before = guarded_errors().get("tests.lenient", 0)
    fail(contained("tests.lenient"), ZeroDivisionError())
    assert guarded_errors()["tests.lenient"] == before + 1


def test_each_kind_is_logged_once_a_minute_with_traceback_and_the_rest_is_counted(
    register: ErrorRegister, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    here = Contained("here", register=register)
    for _ in range(3):
        fail(here, ValueError("again"))
    fail(here, KeyError("another kind"))
    fail(Contained("there", register=register), ValueError("another place"))
    assert [record.args for record in caplog.records] == [("here", 0), ("here", 0), ("there", 0)]
    assert all(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)

    caplog.clear()
    clock.advance(MINUTE_NS - 1)
    fail(here, ValueError("still quiet"))
    assert caplog.records == []
    clock.advance(1)
    fail(here, ValueError("loud again"))
    assert [record.args for record in caplog.records] == [("here", 3)]
    assert "ValueError: loud again" in caplog.text


def test_types_made_at_run_time_do_not_fill_the_memory(register: ErrorRegister) -> None:
    here = Contained("here", register=register)
    logging.disable(logging.CRITICAL)
    try:
        for number in range(2_500):
            fail(here, type(f"Made{number}", (Exception,), {})())
    finally:
        logging.disable(logging.NOTSET)
    assert register.counts()["here"] == 2_500
    assert len(register._logged) <= 1_000


def test_the_place_is_told_and_may_fail_too(register: ErrorRegister) -> None:
    told: list[Exception] = []

    def count_the_loss(error: Exception) -> None:
        told.append(error)
        raise RuntimeError

    error = ValueError("lost")
    fail(Contained("here", on_error=count_the_loss, register=register), error)
    assert told == [error]


def test_a_failing_place_shows_in_strict_mode(register: ErrorRegister) -> None:
    def broken(error: Exception) -> None:
        raise RuntimeError from error

    register.strict = True
    with pytest.raises(RuntimeError):
        fail(Contained("here", on_error=broken, register=register), ValueError())


def test_a_failing_log_handler_does_not_reach_the_application(register: ErrorRegister) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(record.msg)

    handler = Broken()
    logger = logging.getLogger("tokenbeat.guard")
    logger.addHandler(handler)
    try:
        fail(Contained("here", register=register), ValueError())
    finally:
        logger.removeHandler(handler)
    assert dict(register.counts()) == {"here": 1}


def test_threads_share_one_guard_and_no_error_is_missed(register: ErrorRegister) -> None:
    here = Contained("here", register=register)

    def fail_often() -> None:
        for _ in range(200):
            fail(here, ValueError())

    threads = [threading.Thread(target=fail_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(register.counts()) == {"here": 1_600}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork here")
@pytest.mark.usefixtures("lenient_guard")
def test_a_forked_child_begins_with_nothing_counted_even_if_the_lock_was_held() -> None:
    fail(contained("tests.before_fork"), ValueError())
    held, release = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with guard._PROCESS._lock:
            held.set()
            release.wait()

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        counted = dict(guarded_errors())
        fail(contained("tests.in_child"), ValueError())
        os._exit(0 if counted == {} and dict(guarded_errors()) == {"tests.in_child": 1} else 1)
    release.set()
    holder.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_good_path_is_cheap() -> None:
    place = contained("tests.cheap")

    def enter() -> None:
        with place:
            pass

    best_s = min(timeit.repeat(enter, number=20_000, repeat=7)) / 20_000
    assert best_s < 0.5e-6 * (4 if sys.gettrace() else 1)
