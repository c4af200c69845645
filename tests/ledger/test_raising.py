"""What a second end, or a later and better one, adds to what is entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import SECOND_NS
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from tests.ledger.conftest import Script

LONG_ID = "chatcmpl-Zx81kQpL0aVb93TnR7"

pytestmark = pytest.mark.usefixtures("replayed")


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


def test_a_joined_report_raises_a_call_that_was_entered_already(script: Script) -> None:
    chat = script.framework()
    script.end(script.wire(None, caller=script.lead), (10, 5), response_id=LONG_ID)
    script.end(chat, (10, 7), response_id=LONG_ID)
    script.end(chat, (10, 8), response_id=LONG_ID)
    assert (script.totals()["ok"], script.totals()["output_tokens"]) == (1, 8)
