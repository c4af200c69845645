"""A forked child shows its own counts under its own incarnation, and nothing of its parent's."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat import semconv
from tokenbeat.ledger import process
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork here")

CALLER = Caller().child("lead_agent", "lead_agent")


@pytest.fixture(autouse=True)
def process_books() -> Iterator[None]:
    """The child looks for the process's books; the test suite's own shall come back."""
    before = process.replace_books(None)
    yield
    process.replace_books(before)


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run ``work`` in a forked child and give back what it returned."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = json.dumps(work())
        except BaseException as error:  # noqa: BLE001 the child must not become a second test run
            answer = json.dumps({"error": repr(error)})
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return dict(json.loads(answer))


def one_call(ledger: Any, tokens: int) -> None:
    report = ledger.start(
        source="langchain", operation="chat", provider="openai", request_model="gpt-4o",
        caller=CALLER,
    )  # fmt: skip
    ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=tokens, output_tokens=1))


def by_incarnation(points: list[Any], value: Callable[[Any], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for point in points:
        if point.attributes.get("gen_ai.token.type", "input") == "input":
            incarnation = str(point.attributes["tokenbeat.incarnation"])
            found[incarnation] = found.get(incarnation, 0) + value(point)
    return found


def test_the_childs_series_are_its_own_and_the_parents_are_repeated(bench: Any) -> None:
    one_call(bench.ledger, 100)
    bench.collect()
    one_call(bench.ledger, 50)  # its values wait; the parent records them, the child must not

    def work() -> dict[str, Any]:
        ledger = process.books()
        bench.collect()
        one_call(ledger, 7)
        one_call(bench.ledger, 1_000)  # whoever still holds the parent's books
        points = bench.collect()
        return {
            "own": ledger.incarnation,
            "counters": by_incarnation(points[semconv.INFERENCE_INPUT_TOKENS], lambda p: p.value),
            "histograms": by_incarnation(points[semconv.LEGACY_TOKEN_USAGE], lambda p: int(p.sum)),
        }

    seen = in_child(work)
    own, parents = seen["own"], bench.ledger.incarnation
    assert own != parents
    # The parent's series stand as they stood at the fork: a maximum does not mind.
    assert seen["counters"] == {parents: 100, own: 7}
    assert seen["histograms"] == {parents: 100, own: 7}

    points = bench.collect()
    assert by_incarnation(points[semconv.INFERENCE_INPUT_TOKENS], lambda p: p.value) == {
        parents: 150
    }
    assert by_incarnation(points[semconv.LEGACY_TOKEN_USAGE], lambda p: int(p.sum)) == {
        parents: 150
    }


def test_a_child_makes_spans_of_its_own(bench: Any) -> None:
    def work() -> dict[str, Any]:
        one_call(process.books(), 7)
        return {"spans": [s.name for s in bench.exporter.get_finished_spans()]}

    assert in_child(work) == {"spans": ["chat gpt-4o"]}


def test_locks_that_were_held_at_the_fork_hold_up_nobody(bench: Any) -> None:
    one_call(bench.ledger, 1)
    bench.collect()
    state = bench.installed.metrics._state
    sets = [counter.sets for counter in state.instruments.counters.values()]
    for held in sets:
        held._lock.acquire()
    bench.installed.spans._lock.acquire()
    state.feeding.acquire()

    def work() -> dict[str, Any]:
        one_call(process.books(), 7)
        return {"collected": semconv.CALLS in bench.collect()}

    try:
        assert in_child(work) == {"collected": True}
    finally:
        state.feeding.release()
        bench.installed.spans._lock.release()
        for held in sets:
            held._lock.release()


def test_after_an_uninstall_a_child_installs_nothing(bench: Any) -> None:
    bench.installed.uninstall()

    def work() -> dict[str, Any]:
        one_call(process.books(), 7)
        return {"spans": len(bench.exporter.get_finished_spans()), "points": len(bench.collect())}

    assert in_child(work) == {"spans": 0, "points": 0}
