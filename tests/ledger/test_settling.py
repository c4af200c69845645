"""Envelopes: what is entered of a report that encloses others, and when it is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.usage.caller import UNATTRIBUTED, Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Script

pytestmark = pytest.mark.usefixtures("replayed")


def test_the_envelope_is_the_call_where_every_request_that_was_seen_failed(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(chat), outcome="error")
    script.end(chat, (10, 5))
    totals = script.totals()
    assert (totals["failed_attempts"], totals["ok"], totals["input_tokens"]) == (1, 1, 10)


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


def test_the_last_of_several_children_settles_an_ended_envelope(script: Script) -> None:
    router = script.framework(model="router")
    children = [script.framework(model="gpt-4o", inside=router) for _ in range(2)]
    script.end(router, (100, 20))
    script.end(children[0], (60, 10))
    assert script.ledger.snapshot().open == 1
    script.end(children[1], None)
    totals = script.totals()
    assert (totals["with_usage"], totals["input_tokens"]) == (2, 100)


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


def test_a_request_with_a_run_of_its_own_keeps_it(script: Script) -> None:
    run = script.ledger.open_run("r1")
    chat = script.framework()
    request = script.ledger.start(
        source="wire", operation="chat", provider="openai", request_model="gpt-4o",
        caller=UNATTRIBUTED, token=chat.member_of, run=run,
    )  # fmt: skip
    assert (request.run, request.caller) == (run, script.lead)


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
