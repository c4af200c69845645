"""Chunks and candidates of one call come to that call's usage, once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage.combined import add_usage, merge_stream, usage_of_candidates
from tokenbeat.usage.reported import read_usage
from tokenbeat.usage.tokens import TokenUsage


def u(input_tokens: int | None, output_tokens: int | None, **parts: int) -> TokenUsage:
    return TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens, **parts)


def stream(*chunks: TokenUsage) -> TokenUsage | None:
    told: TokenUsage | None = None
    for chunk in chunks:
        told = merge_stream(told, chunk)
    return told


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([u(10, 1), u(10, 3), u(10, 3)], u(10, 3), id="42: growing snapshots"),
        pytest.param([u(10, 0), u(0, 5)], u(10, 5), id="44: split over first and last chunk"),
        pytest.param([u(10, 1), u(0, 2), u(0, 3)], u(10, 6), id="deltas"),
        pytest.param([u(10, 3), u(10, 1)], u(10, 3), id="an older snapshot changes nothing"),
        pytest.param([u(10, 1), u(4, 2)], u(14, 3), id="deltas of a prompt that grew"),
        pytest.param(
            [u(100, 1, cache_read_tokens=90), TokenUsage(output_tokens=15)],
            u(100, 15, cache_read_tokens=90),
            id="Anthropic's events count output from the start",
        ),
        pytest.param([u(0, 1), u(0, 2)], u(0, 3), id="deltas that never tell input"),
        pytest.param(
            [TokenUsage(unclassified_tokens=342)] * 2,
            TokenUsage(unclassified_tokens=342),
            id="a total told twice",
        ),
        pytest.param(
            [TokenUsage(unclassified_tokens=15), u(10, 5)],
            u(10, 5, unclassified_tokens=0),
            id="a total, and then what it was made of",
        ),
        pytest.param(
            [
                u(10, 1, cache_read_tokens=8, cache_write_tokens=2),
                u(10, 2, cache_read_tokens=2, cache_write_tokens=8),
            ],
            u(10, 2, cache_read_tokens=2, cache_write_tokens=8),
            id="parts that contradict each other: the richer chunk's",
        ),
        pytest.param(
            [u(10, 1, cache_read_tokens=8), u(10, 2, cache_write_tokens=9)],
            u(10, 2, cache_write_tokens=9),
            id="parts that do not fit together: the richer chunk's",
        ),
    ],
)
def test_a_stream_comes_to_what_it_told(chunks: list[TokenUsage], expected: TokenUsage) -> None:
    assert stream(*chunks) == expected


def test_interleaved_streams_do_not_mix() -> None:
    told: dict[str, TokenUsage | None] = {"A": None, "B": None}
    for name, chunk in [("A", u(10, 1)), ("B", u(20, 2)), ("A", u(10, 5))]:
        told[name] = merge_stream(told[name], chunk)
    assert [usage.total_tokens for usage in told.values() if usage] == [15, 22]


def test_candidates_that_repeat_the_responses_usage_count_once() -> None:
    repeated = read_usage({"input_tokens": 100, "output_tokens": 40, "total_tokens": 140}).usage
    assert usage_of_candidates([repeated, repeated]) == u(100, 40)


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([None, u(20, 10)], u(20, 10)),
        ([u(10, 5), u(5, 2)], u(15, 7)),
        ([None, None], None),
        ([TokenUsage()], None),
        ([], None),
    ],
)
def test_candidates_with_usage_of_their_own_add_up(
    usages: list[TokenUsage | None], expected: TokenUsage | None
) -> None:
    assert usage_of_candidates(usages) == expected


@given(st.data())
def test_a_sum_is_exact_and_keeps_silence_apart_from_zero(usages: Any, data: st.DataObject) -> None:
    left, right = data.draw(usages), data.draw(usages)
    total = add_usage(left, right)
    assert total == add_usage(right, left)
    assert total.vector() == tuple(map(sum, zip(left.vector(), right.vector(), strict=True)))
    assert add_usage(left, TokenUsage()) == left


@given(st.data())
def test_a_snapshot_told_again_changes_nothing(usages: Any, data: st.DataObject) -> None:
    usage: TokenUsage = data.draw(usages)
    if usage.input_tokens:
        assert stream(usage, usage, usage) == usage


@given(st.data())
def test_a_stream_never_tells_less_than_it_did(usages: Any, data: st.DataObject) -> None:
    told: TokenUsage | None = None
    for chunk in data.draw(st.lists(usages, max_size=5)):
        before = told
        told = merge_stream(told, chunk)
        if before is not None:
            assert (told.input_tokens or 0) >= (before.input_tokens or 0)
            assert (told.output_tokens or 0) >= (before.output_tokens or 0)
            assert (told.total_tokens or 0) >= (before.total_tokens or 0)
