"""What a beat says about our health, and how a user's callable is asked."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.heartbeat.health import HealthProbe, fitted, own_gap, own_health

if TYPE_CHECKING:
    from tokenbeat.ledger.snapshot import BookCounts


@pytest.fixture
def books(rig: Any) -> BookCounts:
    counts: BookCounts = rig.ledger.snapshot().books
    return counts


def test_our_health_is_never_a_constant(books: BookCounts) -> None:
    def status(books: BookCounts, *, errors: int) -> object:
        health = own_health(service="x", at_ns=0, books=books, guarded_errors=errors)
        assert set(health) == {"status", "source", "agentName", "timestamp", "summary", "checks"}
        return health["status"]

    assert status(books, errors=0) == "ready"
    assert status(books, errors=1) == "degraded"
    assert status(replace(books, degraded=True), errors=0) == "degraded"


def test_the_score_is_the_share_of_calls_whose_usage_is_known(books: BookCounts) -> None:
    assert own_gap(books=books)["score"] == 100
    some = replace(books, finished=100, with_usage=95, cached=2)
    assert own_gap(books=some)["score"] == 97


def test_a_report_that_fits_stays_as_it_is() -> None:
    assert fitted({"checks": [1, 2]}, room_bytes=100) == {"checks": [1, 2]}


@pytest.mark.parametrize("room_bytes", range(60, 400, 17))
def test_checks_go_from_their_end_until_it_fits(room_bytes: int) -> None:
    report = {"summary": {"passed": 30}, "checks": [{"id": f"ü{n}"} for n in range(30)]}
    cut = fitted(report, room_bytes=room_bytes)
    assert cut is not None
    text = json.dumps(cut, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(text) <= room_bytes
    assert cut["truncated"] is True
    assert cut["summary"] == {"passed": 30}
    kept = cut["checks"]
    assert kept == report["checks"][: len(kept)]  # type: ignore[arg-type, index] # a list, as above


@pytest.mark.parametrize("report", [{"a": {1}}, {"a": float("inf")}, {"a": "x" * 100}])
def test_a_report_that_cannot_go_is_none(report: dict[str, object]) -> None:
    assert fitted(report, room_bytes=50) is None


def test_a_report_that_contains_itself_is_none() -> None:
    report: dict[str, object] = {}
    report["me"] = report
    assert fitted(report, room_bytes=50) is None


def test_a_hanging_callable_is_asked_once_and_again_when_it_is_back() -> None:
    gate, asked = threading.Event(), [0]

    def hangs() -> object:
        asked[0] += 1
        gate.wait(20)
        return {"status": "ready"}

    probe = HealthProbe(hangs, patience_s=0.01)
    assert probe() is None
    assert probe() is None
    assert asked == [1]
    gate.set()
    thread = probe._running
    assert thread is not None
    thread.join(10)
    assert HealthProbe(hangs)() == {"status": "ready"}


def test_a_callable_that_raises_or_says_nonsense_counts_as_none(lenient_guard: None) -> None:
    def raises() -> object:
        raise ZeroDivisionError

    assert HealthProbe(raises)() is None
    assert HealthProbe(lambda: "fine")() is None
