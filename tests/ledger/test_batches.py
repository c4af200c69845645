"""Framework calls of several prompts, and the requests inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.ledger.report import CallToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Script

LONG_ID = "chatcmpl-Zx81kQpL0aVb93TnR7"

pytestmark = pytest.mark.usefixtures("replayed")


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
