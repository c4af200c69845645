"""What cannot be believed is left out and named; nothing raises, nothing is changed."""

from __future__ import annotations

import copy
import enum
import math
from collections import ChainMap
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from anthropic.types import CacheCreation, Usage
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage import names
from tokenbeat.usage.reported import Reported, read_first, read_usage
from tokenbeat.usage.tokens import TokenUsage


def told(**tokens: int) -> Reported:
    return Reported(TokenUsage(**tokens))


def lang(**fields: Any) -> dict[str, Any]:
    """A LangChain usage in the parts that a case names."""
    return {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, **fields}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "negative"),
        (True, "boolean"),
        (False, "boolean"),
        (1.0, "not_an_integer"),
        (math.nan, "not_an_integer"),
        (math.inf, "not_an_integer"),
        ("5", "not_an_integer"),
        ([5], "not_an_integer"),
        (1_000_000_001, "absurd"),
        (2**64, "absurd"),
    ],
)
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens"])
def test_a_bad_field_is_left_out_and_named_and_the_good_ones_count(
    value: object, reason: str, field: str
) -> None:
    good = "output_tokens" if field == "input_tokens" else "input_tokens"
    assert read_usage({field: value, good: 20}) == Reported(
        TokenUsage(**{good: 20}), (f"{reason}:{field}",), malformed=True
    )


def test_a_bad_field_is_made_up_for_by_a_good_total() -> None:
    assert read_usage({"input_tokens": -5, "output_tokens": 20, "total_tokens": 120}) == Reported(
        TokenUsage(output_tokens=20, unclassified_tokens=100),
        ("negative:input_tokens",),
        malformed=True,
    )
    assert read_usage({"input_tokens": "5", "total_tokens": 0}).usage is None


def test_the_bound_of_belief_can_be_set() -> None:
    assert read_usage({"input_tokens": 1_000_000_000}) == told(input_tokens=1_000_000_000)
    assert read_usage({"input_tokens": 11, "output_tokens": 10}, max_call_tokens=10) == Reported(
        TokenUsage(output_tokens=10), ("absurd:input_tokens",), malformed=True
    )


def test_a_subclass_of_int_is_the_integer_that_it_is() -> None:
    class Count(enum.IntEnum):
        TEN = 10

    usage = read_usage({"input_tokens": Count.TEN}).usage
    assert usage is not None
    assert type(usage.input_tokens) is int
    assert usage == TokenUsage(input_tokens=10)


@pytest.mark.parametrize(
    ("raw", "usage", "anomalies"),
    [
        (
            lang(input_tokens=5, output_tokens=5, input_token_details={"cache_read": 7}),
            TokenUsage(input_tokens=5, output_tokens=5),
            ("exceeds_whole:cache_read_tokens",),
        ),
        (
            lang(
                input_tokens=10,
                input_token_details={"cache_read": 8, "cache_creation": 2, "audio": 11},
            ),
            TokenUsage(input_tokens=10, output_tokens=0, cache_read_tokens=8, cache_write_tokens=2),
            ("exceeds_whole:input_audio_tokens",),
        ),
        (
            lang(input_tokens=10, input_token_details={"cache_read": 8, "cache_creation": 8}),
            TokenUsage(input_tokens=10, output_tokens=0),
            ("exceeds_whole:cache_read_tokens", "exceeds_whole:cache_write_tokens"),
        ),
        (
            lang(input_tokens=10, input_token_details={"ephemeral_5m_input_tokens": 30}),
            TokenUsage(input_tokens=10, output_tokens=0),
            ("exceeds_whole:cache_write_tokens",),
        ),
    ],
)
def test_a_part_greater_than_its_whole_is_left_out_and_the_whole_kept(
    raw: Any, usage: TokenUsage, anomalies: tuple[str, ...]
) -> None:
    assert read_usage(raw) == Reported(usage, anomalies)


def test_parts_without_their_whole_bound_it_from_below() -> None:
    assert read_usage({"output_tokens": 5, "cache_read_input_tokens": 30}) == Reported(
        TokenUsage(input_tokens=30, output_tokens=5, cache_read_tokens=30),
        ("without_whole:input_tokens",),
        malformed=True,
    )
    assert read_usage({"total_tokens": 50, "reasoning_tokens": 20, "input_tokens": 10}) == Reported(
        TokenUsage(input_tokens=10, output_tokens=20, reasoning_tokens=20, unclassified_tokens=20),
        ("without_whole:output_tokens",),
        malformed=True,
    )
    assert read_usage({"output_tokens": 5, "cache_read_input_tokens": 0}) == told(
        output_tokens=5, cache_read_tokens=0
    )


def test_a_bad_detail_is_left_out_and_named() -> None:
    details = {"cache_read": -1, "audio": 4}
    assert read_usage({"input_tokens": 5, "input_token_details": details}) == Reported(
        TokenUsage(input_tokens=5, input_audio_tokens=4),
        ("negative:cache_read_tokens",),
        malformed=True,
    )


@pytest.mark.parametrize("details", [5, "text", 1.5, True])
def test_details_that_are_no_group_are_named(details: object) -> None:
    assert read_usage({"input_tokens": 5, "input_token_details": details}) == Reported(
        TokenUsage(input_tokens=5), ("not_a_group:input_token_details",), malformed=True
    )


def test_entries_of_a_breakdown_that_cannot_be_read_are_named() -> None:
    raw = {
        "promptTokenCount": 10,
        "promptTokensDetails": [
            7,
            {"modality": 1, "tokenCount": 2},
            {"modality": "TEXT"},
            {"modality": "TEXT", "tokenCount": -1},
        ],
    }
    assert read_usage(raw) == Reported(
        TokenUsage(input_tokens=10),
        ("not_a_group:promptTokensDetails", "negative:input_text_tokens"),
        malformed=True,
    )


@pytest.mark.parametrize("raw", [5, "usage", b"usage", 1.5, [1], (1,), object(), int])
def test_what_is_no_usage_at_all_is_named(raw: object) -> None:
    assert read_usage(raw) == Reported(None, ("not_a_usage:usage",), malformed=True)


def test_any_mapping_is_read() -> None:
    raw = MappingProxyType({"input_tokens": 10, "input_token_details": ChainMap({"audio": 4})})
    assert read_usage(raw) == told(input_tokens=10, input_audio_tokens=4)


def test_nothing_is_nothing() -> None:
    assert read_usage(None) == read_usage({}) == read_usage(SimpleNamespace()) == Reported(None)


def test_an_empty_place_does_not_hide_a_later_one() -> None:
    later = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    expected = told(input_tokens=100, output_tokens=50)
    assert read_first([None, {}, later]) == expected
    assert read_first([{"prompt_tokens": None}, later, {"input_tokens": 7}]) == expected
    assert read_first([{"total_tokens": "abc"}, later]) == expected._replace(
        anomalies=("not_an_integer:total_tokens",)
    )
    assert read_first([]) == read_first([{}, None]) == Reported(None)
    assert read_first([{"total_tokens": "abc"}, {}]) == Reported(
        None, ("not_an_integer:total_tokens",), malformed=True
    )


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=0, max_value=500)
    | st.floats()
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {*names.COUNTS, *names.GROUPS, *names.DETAILS["input_token_details"]}
                    | {"modality", "tokenCount", "type", "other"}
                )
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(JUNK, st.sampled_from([None, "anthropic", "cohere", "openai"]))
def test_no_report_whatever_raises_or_is_changed(raw: object, provider: str | None) -> None:
    before = copy.deepcopy(raw)
    reported = read_usage(raw, provider=provider)
    assert repr(raw) == repr(before)
    assert not reported.malformed or reported.anomalies
    assert reported.usage is None or reported.usage.known


COUNT = st.integers(min_value=0, max_value=10_000)


@given(fresh=COUNT, read=COUNT, short=COUNT, long=COUNT, output=COUNT)
def test_anthropic_and_langchain_tell_the_same_call_alike(
    fresh: int, read: int, short: int, long: int, output: int
) -> None:
    raw = Usage(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=short + long,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=short, ephemeral_1h_input_tokens=long
        ),
    )
    from langchain_anthropic.chat_models import (  # noqa: PLC0415 slow to import
        _create_usage_metadata,  # pyright: ignore[reportPrivateUsage] the adapter's own arithmetic
    )

    ours, theirs = read_usage(raw), read_usage(_create_usage_metadata(raw))
    assert ours == theirs
    assert ours.usage is not None
    assert ours.usage.total_tokens == fresh + read + short + long + output


@given(
    st.dictionaries(st.sampled_from(sorted(names.COUNTS)), COUNT, min_size=1),
    st.sampled_from([None, "anthropic"]),
)
def test_what_is_entered_is_never_less_than_a_reported_total(
    raw: dict[str, int], provider: str | None
) -> None:
    usage = read_usage(raw, provider=provider).usage
    assert usage is not None
    totals = [
        raw[name] for name, field in names.COUNTS.items() if field == "total_tokens" and name in raw
    ]
    assert (usage.total_tokens or 0) >= max(totals, default=0)
