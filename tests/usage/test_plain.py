"""The short way and the general one read the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenbeat.usage.plain import plain_usage
from tokenbeat.usage.reported import MAX_CALL_TOKENS, Reported, read_any, read_usage
from tokenbeat.usage.tokens import TOKEN_FIELDS, TokenUsage

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

PLAIN: dict[str, Any] = {
    "input_tokens": 120,
    "output_tokens": 30,
    "total_tokens": 150,
    "input_token_details": {"cache_read": 40, "cache_creation": 7},
    "output_token_details": {"reasoning": 5},
}

small = st.integers(0, 40)
odd = st.one_of(
    small, st.none(), st.booleans(), st.floats(), st.integers(-3, -1), st.text(max_size=2),
    st.integers(MAX_CALL_TOKENS - 1, MAX_CALL_TOKENS + 1),
)  # fmt: skip
details = st.dictionaries(
    st.sampled_from(["cache_read", "cache_creation", "reasoning", "audio", "flex_reasoning", "x"]),
    st.one_of(small, small, small, odd),
    max_size=3,
)


@st.composite
def langchain_usages(draw: DrawFn) -> dict[str, Any]:
    """LangChain's shape: mostly sound, with whatever can be wrong in it."""
    tokens_in, tokens_out = draw(small), draw(small)
    raw: dict[str, Any] = {
        "input_tokens": tokens_in, "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }  # fmt: skip
    for name in ("input_token_details", "output_token_details"):
        if draw(st.booleans()):
            raw[name] = draw(st.one_of(details, details, st.none(), st.just([])))
    if draw(st.integers(0, 3)) == 0:
        changed = draw(st.sampled_from([*raw, "total_cost", "cached_tokens"]))
        raw[changed] = draw(odd)
    if draw(st.integers(0, 5)) == 0:
        del raw[draw(st.sampled_from(sorted(raw)))]
    return raw


@given(
    langchain_usages(),
    st.sampled_from(["openai", "anthropic", "cohere", None]),
    st.sampled_from([30, MAX_CALL_TOKENS]),
)
@example(PLAIN, "openai", MAX_CALL_TOKENS)
def test_both_ways_read_the_same(raw: dict[str, Any], provider: str | None, most: int) -> None:
    before = copy.deepcopy(raw)
    read = read_usage(raw, provider=provider, max_call_tokens=most)
    general = read_any(raw, provider=provider, max_call_tokens=most)
    assert read == general
    assert repr(raw) == repr(before)
    if read.usage is not None and general.usage is not None:
        assert read.usage.vector() == general.usage.vector()
        assert read.usage.known == general.usage.known
        assert read.usage.total_tokens == general.usage.total_tokens


def test_the_usual_usage_takes_the_short_way() -> None:
    usage = plain_usage(PLAIN, most=MAX_CALL_TOKENS)
    assert usage == TokenUsage(
        input_tokens=120, output_tokens=30, cache_read_tokens=40, cache_write_tokens=7,
        reasoning_tokens=5,
    )  # fmt: skip
    assert read_usage(PLAIN) == Reported(usage)


@pytest.mark.parametrize(
    "change",
    [
        {"total_tokens": 151},
        {"total_tokens": None},
        {"input_tokens": True, "total_tokens": 31},
        {"total_cost": 0},
        {"input_token_details": {"cache_read": 121}},
        {"input_token_details": {"cache_read": -1}},
        {"input_token_details": {"cache_read": 4.0}},
        {"input_token_details": {"audio": 4}},
        {"input_token_details": None},
        {"output_token_details": None},
        {"output_token_details": {"reasoning": 31}},
        {"output_token_details": {"audio": 3}},
    ],
)
def test_anything_unusual_is_left_to_the_general_way(change: dict[str, Any]) -> None:
    assert plain_usage({**PLAIN, **change}, most=MAX_CALL_TOKENS) is None


def test_a_usage_that_was_read_the_short_way_is_like_any_other() -> None:
    usage = read_usage(PLAIN).usage
    other = read_any(PLAIN, provider=None, max_call_tokens=MAX_CALL_TOKENS).usage
    assert usage is not None
    assert other is not None
    assert (usage, hash(usage), repr(usage)) == (other, hash(other), repr(other))
    assert dataclasses.asdict(usage) == dataclasses.asdict(other)
    assert pickle.loads(pickle.dumps(usage)) == copy.copy(usage) == other  # noqa: S301 our own
    risen = dataclasses.replace(usage, output_tokens=31)
    assert risen.vector() == (120, 31, 40, 7, 0, 0, 5, *[0] * (len(TOKEN_FIELDS) - 7))
    with pytest.raises(dataclasses.FrozenInstanceError):
        usage.input_tokens = 1  # type: ignore[misc] # that is what is tested
