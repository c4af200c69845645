"""`tokenbeat.caller`: who calls, as the user says."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from opentelemetry.instrumentation.threading import (  # pyright: ignore[reportMissingTypeStubs]
    ThreadingInstrumentor,
)

import tokenbeat
from tokenbeat.attribution import current_scope
from tokenbeat.usage.errors import MalformedCaller

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator


def path() -> str | None:
    scope = current_scope()
    return None if scope is None else scope.caller.instance_path


@pytest.fixture
def carried_by_threads() -> Iterator[None]:
    threads = ThreadingInstrumentor()
    threads.instrument()
    yield
    threads.uninstrument()


def test_labels_nest() -> None:
    assert path() is None
    with tokenbeat.caller("lead_agent"):
        assert path() == "lead_agent"
        with tokenbeat.caller("subagent:researcher"):
            assert path() == "lead_agent/subagent:researcher"
        assert path() == "lead_agent"
    assert path() is None


def test_several_steps_in_one() -> None:
    with tokenbeat.caller("lead_agent/subagent:researcher/middleware:title"):
        assert path() == "lead_agent/subagent:researcher/middleware:title"
        scope = current_scope()
        assert scope is not None
        assert (scope.kind, scope.name) == ("middleware", "title")


def test_a_bare_name_is_a_helper() -> None:
    with tokenbeat.caller("grading"):
        assert path() == "helper:grading"


@pytest.mark.parametrize("wrong", ["", "subagent:", "lead_agent//x"])
def test_a_step_without_a_name_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(MalformedCaller):
        tokenbeat.caller(wrong)


def test_an_agent_names_the_agent_of_its_calls() -> None:
    with tokenbeat.caller("subagent:researcher"), tokenbeat.caller("middleware:title"):
        scope = current_scope()
        assert scope is not None
        assert scope.agent == "researcher"


def test_an_error_leaves_as_it_is_and_the_label_ends() -> None:
    def fail() -> None:
        with tokenbeat.caller("lead_agent"):
            msg = "mine"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert path() is None


def test_a_decorated_function() -> None:
    @tokenbeat.caller("subagent:researcher")
    def work(count: int) -> tuple[int, str | None]:
        """Works."""
        return count, path()

    assert work(3) == (3, "subagent:researcher")
    assert (work.__name__, work.__doc__) == ("work", "Works.")
    assert path() is None


async def test_a_decorated_coroutine_function_can_run_beside_itself() -> None:
    both = asyncio.Event()
    seen: list[str | None] = []

    @tokenbeat.caller("subagent:researcher")
    async def work() -> None:
        seen.append(path())
        if len(seen) == 2:
            both.set()
        await both.wait()
        seen.append(path())

    with tokenbeat.caller("lead_agent"):
        await asyncio.gather(work(), work())
    first, second = "lead_agent/subagent:researcher", "lead_agent/subagent:researcher#2"
    assert sorted(filter(None, seen)) == [first, first, second, second]
    assert path() is None


def test_a_decorated_generator_covers_its_own_code_and_not_its_consumers() -> None:
    inside: list[str | None] = []

    @tokenbeat.caller("subagent:researcher")
    def work() -> Generator[int, str, None]:
        inside.append(path())
        got = yield 1
        inside.append(f"{got} {path()}")
        try:
            yield 2
        except KeyError:
            inside.append(path())
        yield 3

    generator = work()
    assert next(generator) == 1
    assert path() is None
    assert generator.send("sent") == 2
    assert path() is None
    assert generator.throw(KeyError()) == 3
    assert list(generator) == []
    assert inside == ["subagent:researcher", "sent subagent:researcher", "subagent:researcher"]


def test_a_decorated_generator_that_is_left_closes_its_own() -> None:
    closed: list[str | None] = []

    @tokenbeat.caller("subagent:researcher")
    def work() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            closed.append(path())

    generator = work()
    next(generator)
    generator.close()
    assert closed == ["subagent:researcher"]


def test_a_decorated_generators_value_and_error_pass_through() -> None:
    @tokenbeat.caller("subagent:researcher")
    def work(*, fail: bool) -> Generator[int, None, int]:
        yield 1
        if fail:
            raise KeyError
        return 7

    def outer() -> Iterator[int]:
        result = yield from work(fail=False)
        assert result == 7

    assert list(outer()) == [1]
    with pytest.raises(KeyError):
        list(work(fail=True))


async def test_a_decorated_asynchronous_generator() -> None:
    inside: list[str | None] = []

    @tokenbeat.caller("subagent:researcher")
    async def work() -> AsyncIterator[int]:
        inside.append(path())
        yield 1
        inside.append(path())
        yield 2

    async for _ in work():
        assert path() is None
    assert inside == ["subagent:researcher"] * 2


async def test_a_decorated_asynchronous_generator_takes_what_is_sent_and_thrown() -> None:
    inside: list[str | None] = []

    @tokenbeat.caller("subagent:researcher")
    async def work() -> AsyncGenerator[int, str]:
        got = yield 1
        inside.append(f"{got} {path()}")
        try:
            yield 2
        except KeyError:
            inside.append(path())
        try:
            yield 3
        finally:
            inside.append(f"closed {path()}")

    generator = work()
    assert await anext(generator) == 1
    assert await generator.asend("sent") == 2
    assert await generator.athrow(KeyError()) == 3
    await generator.aclose()
    assert inside == [
        "sent subagent:researcher", "subagent:researcher", "closed subagent:researcher"
    ]  # fmt: skip
    assert path() is None


async def test_an_error_in_a_decorated_asynchronous_generator_leaves_as_it_is() -> None:
    @tokenbeat.caller("subagent:researcher")
    async def work() -> AsyncIterator[int]:
        yield 1
        raise KeyError

    with pytest.raises(KeyError):
        async for _ in work():
            pass
    assert path() is None


@pytest.mark.usefixtures("lenient_guard")
def test_a_scope_that_cannot_open_disturbs_nothing() -> None:
    def broken() -> int:
        msg = "no time"
        raise RuntimeError(msg)

    class BrokenClock:
        wall_ns = staticmethod(broken)
        monotonic_ns = staticmethod(broken)

    label = tokenbeat.caller("lead_agent", clock=BrokenClock())
    with label:
        assert path() is None

    @label
    def items() -> Iterator[int]:
        yield 1

    assert list(items()) == [1]
    assert label(lambda: 7)() == 7


async def test_tasks_executors_and_second_loops_carry_it(carried_by_threads: None) -> None:
    async def asked() -> str | None:
        return path()

    loop = asyncio.get_running_loop()
    with tokenbeat.caller("lead_agent"):
        assert await asyncio.create_task(asked()) == "lead_agent"
        assert await asyncio.to_thread(path) == "lead_agent"
        assert await loop.run_in_executor(None, path) == "lead_agent"
        assert await asyncio.to_thread(lambda: asyncio.run(asked())) == "lead_agent"
        with ThreadPoolExecutor() as pool:
            assert pool.submit(path).result() == "lead_agent"


def test_bare_threads_and_timers_carry_it(carried_by_threads: None) -> None:
    seen: list[str | None] = []

    def look() -> None:
        seen.append(path())

    with tokenbeat.caller("lead_agent"):
        for thread in (threading.Thread(target=look), threading.Timer(0, look)):
            thread.start()
            thread.join()
    assert seen == ["lead_agent", "lead_agent"]


def test_an_empty_context_carries_nothing() -> None:
    with tokenbeat.caller("lead_agent"):
        assert contextvars.Context().run(path) is None


def test_a_thread_that_outlives_the_outermost_label_is_nobodys(carried_by_threads: None) -> None:
    seen: list[str | None] = []
    go = threading.Event()

    def late() -> None:
        assert go.wait(5)
        seen.append(path())

    with tokenbeat.caller("lead_agent"):
        thread = threading.Thread(target=late)
        thread.start()
    go.set()
    thread.join()
    assert seen == [None]


def test_a_thread_that_outlives_an_inner_label_is_still_its(carried_by_threads: None) -> None:
    seen: list[str | None] = []
    go = threading.Event()

    def late() -> None:
        assert go.wait(5)
        seen.append(path())

    with tokenbeat.caller("lead_agent"):
        with tokenbeat.caller("tool:search"):
            thread = threading.Thread(target=late)
            thread.start()
        go.set()
        thread.join()
    assert seen == ["lead_agent/tool:search"]


def test_a_context_copied_inside_and_used_later_in_its_own_lane_is_the_enclosing_ones() -> None:
    with tokenbeat.caller("lead_agent"):
        with tokenbeat.caller("tool:search"):
            copied = contextvars.copy_context()
        assert copied.run(path) == "lead_agent"
    assert copied.run(path) is None


def test_equal_subagents_one_after_the_other_are_one_instance() -> None:
    seen: list[str | None] = []
    with tokenbeat.caller("lead_agent"):
        for _ in range(2):
            with tokenbeat.caller("subagent:researcher"):
                seen.append(path())
    assert seen == ["lead_agent/subagent:researcher"] * 2
