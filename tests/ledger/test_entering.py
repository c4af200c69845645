"""Leaves: what one report that encloses nothing enters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import Bounds
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Script

LONG_ID = "chatcmpl-Zx81kQpL0aVb93TnR7"

pytestmark = pytest.mark.usefixtures("replayed")


def test_a_leaf_is_a_call_with_its_usage(script: Script) -> None:
    script.end(script.framework(), (10, 5))
    assert script.by_caller() == {
        "lead_agent": {
            "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 5,
        }
    }  # fmt: skip


def test_a_call_seen_by_the_framework_and_on_the_wire_is_one_call(script: Script) -> None:
    chat = script.framework()
    request = script.wire(chat)
    script.end(request, (10, 5), response_id=LONG_ID)
    script.end(chat, (10, 5))
    assert script.by_caller() == {
        "lead_agent": {
            "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 5,
        }
    }  # fmt: skip
    assert script.reconciliations() == {}


def test_an_error_without_usage_is_an_attempt_and_no_call(script: Script) -> None:
    script.end(script.framework(), outcome="error")
    assert script.totals() == {"failed_attempts": 1}


def test_an_error_with_usage_is_a_call(script: Script) -> None:
    script.end(script.framework(), (10, 0), outcome="error", partial=True)
    totals = script.totals()
    assert totals == {"error": 1, "with_usage": 1, "partial": 1, "items": 1, "input_tokens": 10}


def test_retries_below_the_framework_are_attempts_and_the_last_one_is_the_call(
    script: Script,
) -> None:
    chat = script.framework()
    for _ in range(2):
        script.end(script.wire(chat), outcome="error")
    script.end(script.wire(chat), (10, 5))
    script.end(chat, (10, 5))
    totals = script.totals()
    assert (totals["failed_attempts"], totals["ok"], totals["input_tokens"]) == (2, 1, 10)


def test_a_retry_that_was_billed_is_a_call_of_its_own(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), (10, 0), outcome="error")
    script.end(script.wire(chat), (10, 5))
    script.end(chat, (10, 5))
    totals = script.totals()
    assert (totals["error"], totals["ok"], totals["input_tokens"]) == (1, 1, 20)


def test_a_failed_framework_call_adds_no_attempt_to_that_of_its_request(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), outcome="error")
    script.end(chat, outcome="error")
    assert script.totals() == {"failed_attempts": 1}


def test_a_second_model_called_in_a_streams_loop_leaves_the_first_a_leaf(script: Script) -> None:
    stream = script.framework()
    first = script.wire(stream)
    second = script.wire(stream, model="gpt-4o-mini", caller=script.lead)
    assert second.inside is None
    script.end(second, (7, 1))
    script.end(first, (10, 5))
    script.end(stream, (10, 5))
    assert script.totals()["input_tokens"] == 17
    assert script.totals()["ok"] == 2


def test_an_embedding_made_inside_a_chat_is_a_call_of_its_own(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat, operation="embeddings", caller=script.lead), (3, 0))
    script.end(chat, (10, 5))
    assert script.totals()["input_tokens"] == 13


def test_what_chunks_told_is_kept_where_no_end_comes_with_better(script: Script) -> None:
    chat = script.framework()
    chat.heard = TokenUsage(input_tokens=10)
    script.end(chat, outcome="cancelled")
    totals = script.totals()
    assert (totals["cancelled"], totals["partial"], totals["input_tokens"]) == (1, 1, 10)


def test_a_cached_response_is_a_call_that_billed_nothing(script: Script) -> None:
    script.end(script.framework(), (10, 5), cached=True)
    assert script.totals() == {
        "ok": 1, "cached": 1, "items": 1, "cached_input_tokens": 10, "cached_output_tokens": 5,
    }  # fmt: skip


def test_an_open_call_is_in_no_cell(script: Script) -> None:
    chat = script.framework()
    script.wire(chat)
    snapshot = script.ledger.snapshot()
    assert (snapshot.open, snapshot.cells) == (1, ())


def test_past_the_bound_new_keys_are_folded_and_totals_stay_exact(
    script_with: Callable[[Bounds], Script],
) -> None:
    small = script_with(Bounds(cells=3, other_cells=2))
    for number in range(10):
        small.end(small.framework(model=f"model-{number}"), (10, 1))
    assert small.totals()["input_tokens"] == 100
    rows = {cell.key.request_model: cell.key.caller for cell in small.ledger.snapshot().cells}
    assert rows == {
        "model-0": "lead_agent", "model-1": "lead_agent", "model-2": "lead_agent",
        "model-3": "other", "model-4": "other", None: "other",
    }  # fmt: skip
    assert small.ledger.snapshot().books.folded_cells == 7
    small.assert_replays()


def test_a_cached_response_without_usage_is_still_a_cached_call(script: Script) -> None:
    script.end(script.framework(), None, cached=True)
    assert script.totals() == {"ok": 1, "cached": 1, "items": 1}


def test_a_report_tells_what_it_is(script: Script) -> None:
    chat = script.framework()
    assert "open" in repr(chat)
    script.end(chat, (1, 1))
    assert "ok" in repr(chat)
    assert "r1" in repr(script.ledger.open_run("r1"))


def test_folded_keys_of_one_model_share_a_cell(script_with: Callable[[Bounds], Script]) -> None:
    script = script_with(Bounds(cells=0, other_cells=1))
    lead = Caller().child("lead_agent", "lead")
    for name in ("a", "b"):
        script.end(script.framework(caller=lead.child("subagent", name)), (10, 0))
    assert script.by_caller()["other"]["ok"] == 2
