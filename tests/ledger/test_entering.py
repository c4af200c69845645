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
    script.clock.advance(10 * SECOND_NS)
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


def test_a_prompt_that_ends_after_its_batch_was_settled_is_counted_by_itself(
    script: Script,
) -> None:
    batch = CallToken()
    first, slow, slower = (script.framework(batch=batch) for _ in range(3))
    script.end(script.wire(batch), (10, 5))
    script.end(first, (10, 5))
    request = script.wire(batch)
    script.clock.advance(5 * SECOND_NS)
    script.ledger.expire()
    script.end(request, (20, 5))
    script.end(slow, (20, 5))
    script.end(slower, (40, 5))
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (3, 70)


def test_a_batch_whose_requests_were_given_to_the_wrong_prompts_says_so(script: Script) -> None:
    batch = CallToken()
    prompts = [script.framework(batch=batch) for _ in range(2)]
    requests = [script.wire(batch) for _ in range(2)]
    ids = [LONG_ID + "one", LONG_ID + "two"]
    for request, response_id in zip(requests, ids, strict=True):
        script.end(request, None, response_id=response_id)
    for prompt, response_id, tokens in zip(prompts, reversed(ids), (20, 10), strict=True):
        script.end(prompt, (tokens, 0), response_id=response_id)
    assert [request.inside for request in requests] == list(reversed(prompts))
    assert [request.counts and request.counts[10] for request in requests] == [10, 20]


def test_a_batchs_failed_requests_stay_with_a_prompt_and_add_attempts(script: Script) -> None:
    batch = CallToken()
    prompts = [script.framework(batch=batch) for _ in range(2)]
    for _ in range(2):
        script.end(script.wire(batch), outcome="error")
    for _ in prompts:
        script.end(script.wire(batch), (10, 0))
    for prompt in prompts:
        script.end(prompt, (10, 0))
    totals = script.totals()
    assert (totals["failed_attempts"], totals["ok"], totals["input_tokens"]) == (2, 2, 20)


def test_more_requests_than_prompts_belong_to_the_last_prompt(script: Script) -> None:
    batch = CallToken()
    hit, miss = (script.framework(batch=batch) for _ in range(2))
    requests = [script.wire(batch) for _ in range(2)]
    for request in requests:
        script.end(request, (10, 0))
    script.end(hit, (10, 0), cached=True)
    script.end(miss, (20, 0))
    assert (script.totals()["input_tokens"], script.totals()["cached"]) == (20, 1)
    assert script.reconciliations() == {}


def test_a_batch_waits_for_a_request_that_is_still_open(script: Script) -> None:
    batch = CallToken()
    prompts = [script.framework(batch=batch) for _ in range(2)]
    requests = [script.wire(batch) for _ in range(2)]
    for prompt in prompts:
        script.end(prompt, (10, 0))
    assert script.totals() == {}
    for request in requests:
        script.end(request, (10, 0))
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (2, 20)


def test_a_second_end_of_an_envelope_raises_its_one_call(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), (10, 0))
    script.end(chat, (10, 0))
    script.end(chat, (10, 5))
    assert script.totals()["output_tokens"] == 5
    script.end(chat)
    assert script.totals()["output_tokens"] == 5


def test_a_second_end_of_an_envelope_of_two_calls_is_a_reconciliation(script: Script) -> None:
    router = script.framework(model="gpt-4o")
    for _ in range(2):
        script.end(script.framework(model="gpt-4o", inside=router), (10, 0))
    script.end(router, (20, 0))
    script.end(router, (25, 0))
    assert script.totals()["input_tokens"] == 20
    assert script.reconciliations() == {"envelope_surplus": 5}
    script.end(router, (20, 0))
    assert script.reconciliations() == {"envelope_surplus": 5}


def test_the_better_of_two_ends_of_an_envelope_fills_its_open_child(script: Script) -> None:
    chat = script.framework()
    script.wire(chat)
    script.end(chat, (10, 0))
    script.end(chat, (10, 5))
    script.end(chat, (10, 2))
    script.clock.advance(5 * SECOND_NS)
    assert script.totals()["output_tokens"] == 5


def test_a_second_end_of_a_held_call_enters_and_raises_it(script: Script) -> None:
    script.framework()
    request = script.wire(None)
    script.end(request, (10, 0), response_id=LONG_ID)
    script.end(request, (10, 5), response_id=LONG_ID)
    assert script.by_caller()["unattributed"]["output_tokens"] == 5


def test_a_second_end_of_a_cached_response_changes_nothing(script: Script) -> None:
    chat = script.framework()
    script.end(chat, (10, 5), cached=True)
    script.end(chat, (20, 5), cached=True)
    assert script.totals()["cached_input_tokens"] == 10


def test_a_cached_response_without_usage_is_still_a_cached_call(script: Script) -> None:
    script.end(script.framework(), None, cached=True)
    assert script.totals() == {"ok": 1, "cached": 1, "items": 1}


def test_a_joined_report_without_a_caller_leaves_the_call_unattributed(script: Script) -> None:
    chat = script.framework(caller=UNATTRIBUTED)
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    script.end(chat, (10, 5), response_id=LONG_ID)
    assert script.by_caller()["unattributed"]["ok"] == 1


def test_a_joined_report_raises_a_call_that_was_entered_already(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(None, caller=script.lead), (10, 5), response_id=LONG_ID)
    script.end(chat, (10, 7), response_id=LONG_ID)
    script.end(chat, (10, 8), response_id=LONG_ID)
    assert (script.totals()["ok"], script.totals()["output_tokens"]) == (1, 8)


def test_an_error_of_an_envelope_leaves_its_open_child_abandoned(script: Script) -> None:
    chat = script.framework()
    script.wire(chat)
    script.end(chat, outcome="error")
    script.clock.advance(5 * SECOND_NS)
    assert script.totals() == {"abandoned": 1, "items": 1}


def test_of_two_open_children_the_first_gets_the_envelopes_usage(script: Script) -> None:
    router = script.framework(model="router")
    for _ in range(2):
        script.framework(model="gpt-4o", inside=router)
    script.end(router, (100, 20))
    script.clock.advance(5 * SECOND_NS)
    totals = script.totals()
    assert (totals["ok"], totals["with_usage"], totals["input_tokens"]) == (2, 1, 100)


def test_a_surplus_beside_two_unknown_children_is_a_reconciliation(script: Script) -> None:
    router = script.framework(model="router")
    for _ in range(2):
        script.end(script.framework(model="gpt-4o", inside=router), None)
    script.end(router, (100, 20))
    assert script.totals() == {"ok": 2, "items": 2}
    assert script.reconciliations() == {"envelope_surplus": 120}


def test_an_old_envelope_is_swept_up_with_its_open_child(script: Script) -> None:
    chat = script.framework()
    chat.heard = TokenUsage(input_tokens=7)
    script.wire(chat)
    script.clock.advance(Bounds().sweep_ns)
    script.ledger.expire()
    script.clock.advance(5 * SECOND_NS)
    totals = script.totals()
    assert (totals["abandoned"], totals["input_tokens"]) == (1, 7)


def test_an_old_child_is_swept_up_and_settles_its_ended_envelope(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds(sweep_ns=2 * SECOND_NS))
    chat = script.framework()
    script.clock.advance(SECOND_NS)
    script.wire(chat)
    script.end(chat, (10, 5))
    script.clock.advance(2 * SECOND_NS)
    totals = script.totals()
    assert (totals["ok"], totals["with_usage"], totals["input_tokens"]) == (1, 1, 10)


def test_a_report_tells_what_it_is(script: Script) -> None:
    chat = script.framework()
    assert "open" in repr(chat)
    script.end(chat, (1, 1))
    assert "ok" in repr(chat)
    assert "r1" in repr(script.ledger.open_run("r1"))


def test_joins_are_forgotten_when_they_are_old_or_too_many(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds(join_calls=2, join_ns=10 * SECOND_NS))
    chats = [script.framework() for _ in range(4)]
    ids = [f"{LONG_ID}{letter}" for letter in "abcd"]
    for response_id in ids[:3]:
        script.end(script.wire(None, caller=script.lead), (10, 0), response_id=response_id)
    script.end(script.framework(), (1, 0), response_id=LONG_ID + "x")
    for chat, response_id in zip(chats[:3], ids, strict=False):
        script.end(chat, (10, 0), response_id=response_id)
    assert script.totals()["ok"] > 4, "the oldest were forgotten: their second report is a call"
    script.clock.advance(20 * SECOND_NS)
    script.ledger.expire()
    script.assert_replays()


def test_the_last_of_several_children_settles_an_ended_envelope(script: Script) -> None:
    router = script.framework(model="router")
    children = [script.framework(model="gpt-4o", inside=router) for _ in range(2)]
    script.end(router, (100, 20))
    script.end(children[0], (60, 10))
    assert script.ledger.snapshot().open == 1
    script.end(children[1], None)
    totals = script.totals()
    assert (totals["with_usage"], totals["input_tokens"]) == (2, 100)


def test_folded_keys_of_one_model_share_a_cell(script_with: Callable[[Bounds], Script]) -> None:
    script = script_with(Bounds(cells=0, other_cells=1))
    lead = Caller().child("lead_agent", "lead")
    for name in ("a", "b"):
        script.end(script.framework(caller=lead.child("subagent", name)), (10, 0))
    assert script.by_caller()["other"]["ok"] == 2


def test_of_several_calls_with_one_id_that_of_the_other_source_is_joined(script: Script) -> None:
    chats = [script.framework() for _ in range(2)]
    script.end(chats[0], (10, 5), response_id=LONG_ID)
    script.end(chats[1], (10, 5), response_id=LONG_ID)
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    assert script.totals()["ok"] == 2


def test_an_envelope_waits_for_what_is_inside_its_children(script: Script) -> None:
    router = script.framework(model="router")
    inner = script.framework(model="gpt-4o", inside=router)
    request = script.wire(inner)
    script.end(inner, (100, 20))
    script.end(router, (100, 20))
    assert script.totals() == {}
    script.end(request, (100, 20))
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (1, 100)
    assert script.reconciliations() == {}


def test_an_envelope_that_waited_long_enough_settles_what_is_inside_its_children(
    script: Script,
) -> None:
    router = script.framework(model="router")
    ended, still_open = (script.framework(model="gpt-4o", inside=router) for _ in range(2))
    for inner in (ended, still_open):
        script.wire(inner)
    script.end(ended, (100, 20))
    script.end(router, (150, 30))
    script.clock.advance(5 * SECOND_NS)
    totals = script.totals()
    assert (totals["ok"], totals["with_usage"], totals["input_tokens"]) == (2, 2, 150)
    assert script.ledger.snapshot().open == 0
    assert script.reconciliations() == {}


def test_an_old_request_of_a_batch_settles_the_batch(
    script_with: Callable[[Bounds], Script],
) -> None:
    script = script_with(Bounds(sweep_ns=2 * SECOND_NS))
    batch = CallToken()
    prompts = [script.framework(batch=batch) for _ in range(2)]
    script.clock.advance(SECOND_NS)
    script.wire(batch)
    for prompt in prompts:
        script.end(prompt, (10, 5))
    script.clock.advance(2 * SECOND_NS)
    assert (script.totals()["ok"], script.totals()["input_tokens"]) == (2, 20)


def test_a_request_with_a_run_of_its_own_keeps_it(script: Script) -> None:
    run = script.ledger.open_run("r1")
    chat = script.framework()
    request = script.ledger.start(
        source="wire", operation="chat", provider="openai", request_model="gpt-4o",
        caller=UNATTRIBUTED, token=chat.member_of, run=run,
    )  # fmt: skip
    assert (request.run, request.caller) == (run, script.lead)


def test_reports_of_two_sources_that_are_both_tied_are_never_joined_by_id(script: Script) -> None:
    chats = [script.framework() for _ in range(2)]
    wire = script.wire(chats[0])
    gateway = script.ledger.start(
        source="gateway", operation="chat", provider="openai", request_model="gpt-4o",
        caller=UNATTRIBUTED, token=chats[1].member_of,
    )  # fmt: skip
    script.end(wire, (10, 5), response_id=LONG_ID)
    script.end(gateway, (10, 5), response_id=LONG_ID)
    assert script.totals()["ok"] == 2


def test_an_envelope_settles_an_ended_envelope_inside_it_first(script: Script) -> None:
    outer = script.framework(model="router")
    script.clock.advance(SECOND_NS)
    inner = script.framework(model="gpt-4o", inside=outer)
    script.wire(inner)
    script.end(outer, (100, 20))
    script.clock.advance(SECOND_NS)
    script.end(inner, (100, 20))
    script.clock.advance(4 * SECOND_NS)
    totals = script.totals()
    assert (totals["ok"], totals["input_tokens"]) == (1, 100)
    assert script.reconciliations() == {}
