"""Reports of two sources that are one call: by token, by response id, and held until they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.usage.caller import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Script

LONG_ID = "chatcmpl-Zx81kQpL0aVb93TnR7"

pytestmark = pytest.mark.usefixtures("replayed")


def test_a_token_whose_calls_have_ended_is_ignored(script: Script) -> None:
    chat = script.framework()
    script.end(chat, (10, 5))
    late = script.wire(chat)
    assert late.inside is None
    script.end(late, (7, 1))
    assert script.totals()["input_tokens"] == 17


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


def test_a_joined_report_without_a_caller_leaves_the_call_unattributed(script: Script) -> None:
    chat = script.framework(caller=UNATTRIBUTED)
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    script.end(chat, (10, 5), response_id=LONG_ID)
    assert script.by_caller()["unattributed"]["ok"] == 1


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


def test_of_several_calls_with_one_id_that_of_the_other_source_is_joined(script: Script) -> None:
    chats = [script.framework() for _ in range(2)]
    script.end(chats[0], (10, 5), response_id=LONG_ID)
    script.end(chats[1], (10, 5), response_id=LONG_ID)
    script.end(script.wire(None), (10, 5), response_id=LONG_ID)
    assert script.totals()["ok"] == 2


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
