"""Leaf and envelope, entering, joining, raising and holding, by a framework and a wire source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.caller import UNATTRIBUTED, Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.ledger.conftest import Script

LONG_ID = "chatcmpl-Zx81kQpL0aVb93TnR7"


@pytest.fixture(autouse=True)
def replayed(script: Script) -> Iterator[None]:
    """Every scenario of this file must replay into equal books."""
    yield
    script.ledger.expire()
    script.assert_replays()


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


def test_the_envelope_is_the_call_where_every_request_that_was_seen_failed(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), outcome="error")
    script.end(chat, (10, 5))
    totals = script.totals()
    assert (totals["failed_attempts"], totals["ok"], totals["input_tokens"]) == (1, 1, 10)


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


def test_a_token_whose_calls_have_ended_is_ignored(script: Script) -> None:
    chat = script.framework()
    script.end(chat, (10, 5))
    late = script.wire(chat)
    assert late.inside is None
    script.end(late, (7, 1))
    assert script.totals()["input_tokens"] == 17


def test_a_router_that_calls_two_models_is_counted_by_them(script: Script) -> None:
    router = script.framework(model="router")
    for model in ("gpt-4o", "gpt-4o-mini"):
        script.end(script.framework(model=model, inside=router), (100, 20))
    script.end(router, (100, 20))
    totals = script.totals()
    assert (totals["ok"], totals["input_tokens"], totals["output_tokens"]) == (2, 200, 40)


def test_what_a_router_used_beyond_its_models_is_a_call_of_its_own(script: Script) -> None:
    router = script.framework(model="router")
    script.end(script.framework(model="gpt-4o", inside=router), (100, 20))
    script.end(router, (300, 60))
    totals = script.totals()
    assert (totals["ok"], totals["input_tokens"], totals["output_tokens"]) == (2, 300, 60)


def test_a_surplus_under_a_childs_model_is_a_reconciliation(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), (100, 20))
    script.end(chat, (130, 25))
    assert script.totals()["input_tokens"] == 100
    assert script.reconciliations() == {"envelope_surplus": 35}


def test_an_envelope_fills_the_one_request_that_did_not_say(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), None)
    assert script.totals() == {"ok": 1, "items": 1}
    script.end(chat, (100, 40))
    totals = script.totals()
    assert totals == {
        "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 100, "output_tokens": 40,
    }  # fmt: skip


def test_an_envelope_that_knows_less_changes_nothing(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), (100, 40))
    script.end(chat, (90, 40))
    assert script.totals()["input_tokens"] == 100
    assert script.reconciliations() == {}


def test_a_child_that_stays_open_is_entered_with_its_envelopes_usage(script: Script) -> None:
    chat = script.framework()
    request = script.wire(chat)
    script.end(chat, (100, 40), outcome="abandoned", partial=True)
    assert script.totals() == {}
    script.clock.advance(5 * SECOND_NS)
    totals = script.totals()
    assert (totals["abandoned"], totals["partial"], totals["input_tokens"]) == (1, 1, 100)
    script.end(request, (100, 60))
    assert script.totals()["output_tokens"] == 60
    assert "ok" not in script.totals()


def test_a_child_that_ends_in_time_keeps_its_own_outcome(script: Script) -> None:
    chat = script.framework()
    request = script.wire(chat)
    script.end(chat, (100, 40), outcome="abandoned")
    script.clock.advance(SECOND_NS)
    script.end(request, (100, 60))
    assert script.totals() == {
        "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 100, "output_tokens": 60,
    }  # fmt: skip


def test_a_second_end_only_raises(script: Script) -> None:
    chat = script.framework()
    script.end(chat, (10, 0))
    script.end(chat, (10, 5), outcome="error")
    assert script.totals() == {
        "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 5,
    }  # fmt: skip


def test_a_second_end_makes_unknown_usage_known(script: Script) -> None:
    chat = script.framework()
    script.end(chat)
    script.end(chat, (10, 5))
    assert script.totals()["with_usage"] == 1
    assert script.totals()["ok"] == 1


def test_an_unclassified_total_is_never_entered_again_under_other_names(script: Script) -> None:
    chat = script.framework()
    script.end(chat, TokenUsage(unclassified_tokens=342))
    script.end(chat, (200, 142))
    totals = script.totals()
    assert totals["unclassified_tokens"] == 342
    assert "input_tokens" not in totals
    assert script.reconciliations() == {"not_raised": 342}


def test_an_attempt_that_turns_out_to_be_billed_becomes_a_call(script: Script) -> None:
    chat = script.framework()
    script.end(chat, outcome="error")
    script.end(chat, (10, 5))
    totals = script.totals()
    assert (totals["error"], totals["with_usage"], totals["input_tokens"]) == (1, 1, 10)
    assert script.reconciliations() == {"billed_attempt": 15}


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


def test_reports_of_two_sources_without_context_are_joined_by_the_response_id(
    script: Script,
) -> None:
    chat = script.framework()
    request = script.wire(None)
    script.end(request, (10, 5), response_id=LONG_ID)
    assert script.totals() == {}, "held: somebody may say who made it"
    script.end(chat, (10, 7), response_id=LONG_ID)
    assert script.by_caller() == {
        "lead_agent": {
            "ok": 1, "with_usage": 1, "items": 1, "input_tokens": 10, "output_tokens": 7,
        }
    }  # fmt: skip


def test_a_held_call_is_entered_as_unattributed_after_a_second(script: Script) -> None:
    script.framework()
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    assert script.ledger.snapshot().open == 2
    script.clock.advance(SECOND_NS)
    assert script.by_caller()["unattributed"]["input_tokens"] == 10
    assert script.ledger.snapshot().books.unattributed == 1


def test_a_call_that_nobody_can_claim_is_not_held(script: Script) -> None:
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    assert script.by_caller()["unattributed"]["ok"] == 1


def test_two_reports_of_one_source_are_two_calls_whatever_their_ids(script: Script) -> None:
    for _ in range(2):
        script.end(script.wire(None, caller=UNATTRIBUTED), (10, 5), response_id=LONG_ID)
    assert script.totals()["ok"] == 2


@pytest.mark.parametrize("response_id", ["chatcmpl-123", "0000000000000000000017", "a" * 40])
def test_short_and_sequential_ids_tie_nothing(script: Script, response_id: str) -> None:
    chat = script.framework()
    script.end(script.wire(None), (10, 5), response_id=response_id)
    script.end(chat, (10, 5), response_id=response_id)
    script.clock.advance(SECOND_NS)
    assert script.totals()["ok"] == 2


def test_a_token_comes_before_an_id(script: Script) -> None:
    first, second = script.framework(), script.framework()
    one, two = script.wire(first), script.wire(second)
    script.end(one, (10, 5), response_id=LONG_ID)
    script.end(two, (20, 5), response_id=LONG_ID)
    script.end(first, (10, 5), response_id=LONG_ID)
    script.end(second, (20, 5), response_id=LONG_ID)
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (2, 30)


def test_calls_that_do_not_overlap_are_not_joined(script: Script) -> None:
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    script.clock.advance(3 * SECOND_NS)
    script.end(script.framework(), (10, 5), response_id=LONG_ID)
    assert script.totals()["ok"] == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_batchs_requests_are_given_to_its_prompts_by_response_id(
    script: Script, order: tuple[int, int]
) -> None:
    batch = CallToken()
    prompts = [script.framework(batch=batch) for _ in range(2)]
    requests = [script.wire(batch) for _ in range(2)]
    ids = [LONG_ID + "one", LONG_ID + "two"]
    for i in order:
        script.end(requests[i], (10 * (i + 1), 5) if i else None, response_id=ids[i])
    for i, prompt in enumerate(prompts):
        script.end(prompt, (10 * (i + 1), 5), response_id=ids[i])
    totals = script.totals()
    assert (totals["ok"], totals["with_usage"], totals["input_tokens"]) == (2, 2, 30)
    assert script.reconciliations() == {}


def test_a_batchs_prompt_from_the_cache_leaves_the_request_to_the_other(script: Script) -> None:
    batch = CallToken()
    hit, miss = (script.framework(batch=batch) for _ in range(2))
    request = script.wire(batch)
    script.end(request, None)
    script.end(hit, (10, 5), cached=True)
    script.end(miss, (20, 7))
    totals = script.totals()
    assert (totals["ok"], totals["cached"], totals["with_usage"]) == (2, 1, 1)
    assert (totals["input_tokens"], totals["cached_input_tokens"]) == (20, 10)


def test_a_prompt_whose_request_nobody_saw_is_a_call_itself(script: Script) -> None:
    batch = CallToken()
    seen, unseen = (script.framework(batch=batch) for _ in range(2))
    request = script.wire(batch)
    script.end(request, (10, 5), response_id=LONG_ID)
    script.end(unseen, (20, 7), response_id=LONG_ID[::-1])
    script.end(seen, (10, 5), response_id=LONG_ID)
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (2, 30)


def test_an_open_prompt_holds_a_batch_back_for_five_seconds_at_most(script: Script) -> None:
    batch = CallToken()
    first, _ = (script.framework(batch=batch) for _ in range(2))
    script.end(script.wire(batch), (10, 5))
    script.end(first, (10, 5))
    script.clock.advance(5 * SECOND_NS)
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (1, 10)


def test_a_batch_without_a_wire_source_is_a_call_for_each_prompt(script: Script) -> None:
    batch = CallToken()
    for prompt in [script.framework(batch=batch) for _ in range(2)]:
        script.end(prompt, (100, 40))
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (2, 200)


def test_an_open_call_is_in_no_cell(script: Script) -> None:
    chat = script.framework()
    script.wire(chat)
    snapshot = script.ledger.snapshot()
    assert (snapshot.open, snapshot.cells) == (1, ())


def test_a_call_that_never_ends_is_swept_up_by_its_age(script: Script) -> None:
    chat = script.framework()
    chat.heard = TokenUsage(input_tokens=3)
    script.clock.advance(Bounds().sweep_ns)
    totals = script.totals()
    assert (totals["abandoned"], totals["input_tokens"]) == (1, 3)
    script.end(chat, (10, 5))
    assert (script.totals()["abandoned"], script.totals()["input_tokens"]) == (1, 10)


def test_a_clean_shutdown_enters_open_calls_as_unfinished(script: Script) -> None:
    chat = script.framework()
    script.wire(chat)
    script.framework()
    script.ledger.close()
    assert script.totals() == {"unfinished": 2, "items": 2}
    assert script.ledger.snapshot().open == 0


def test_a_caller_is_lent_by_the_envelope_and_frozen_at_the_start(script: Script) -> None:
    researcher = Caller().child("lead_agent", "lead_agent").child("subagent", "researcher")
    chat = script.framework(caller=researcher)
    script.end(script.wire(chat), (1, 1))
    script.end(chat, (1, 1))
    assert set(script.by_caller()) == {"lead_agent/subagent:researcher"}


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
