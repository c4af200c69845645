"""A wrong usage cannot be built; unknown stays unknown."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage.errors import ImpossibleUsage, MalformedUsage, UsageError
from tokenbeat.usage.tokens import PARTS, TOKEN_FIELDS, TokenUsage


def test_unknown_is_none_and_zero_is_zero() -> None:
    assert not TokenUsage().known
    assert TokenUsage().total_tokens is None
    assert TokenUsage(output_tokens=0).known
    assert TokenUsage(output_tokens=0).total_tokens == 0
    assert TokenUsage().vector() == TokenUsage(output_tokens=0).vector() == (0,) * 14
    assert TokenUsage() != TokenUsage(output_tokens=0)


def test_the_total_is_input_and_output_and_unclassified() -> None:
    usage = TokenUsage(
        input_tokens=1200,
        output_tokens=50,
        cache_read_tokens=900,
        cache_write_tokens=200,
        cache_write_5m_tokens=150,
        cache_write_1h_tokens=50,
        reasoning_tokens=30,
        unclassified_tokens=7,
    )
    assert usage.total_tokens == 1257
    assert usage.vector() == (1200, 50, 900, 200, 150, 50, 30, 7, 0, 0, 0, 0, 0, 0)
    assert TokenUsage(unclassified_tokens=342).total_tokens == 342


@pytest.mark.parametrize("value", [-1, True, False, 1.0, math.nan, "5", [1]])
@pytest.mark.parametrize("field", TOKEN_FIELDS)
def test_a_count_is_an_exact_integer_or_unknown(field: str, value: Any) -> None:
    with pytest.raises(MalformedUsage) as caught:
        TokenUsage(**{field: value})
    assert caught.value.field == field
    assert caught.value.value is value
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("whole", "part"), sorted({(whole, part) for whole, parts in PARTS for part in parts})
)
def test_no_part_exceeds_its_whole(whole: str, part: str) -> None:
    wholes = {"input_tokens": 5, "output_tokens": 5, whole: 5}
    assert TokenUsage(**wholes, **{part: 5}).known
    with pytest.raises(ImpossibleUsage) as caught:
        TokenUsage(**wholes, **{part: 6})
    assert (caught.value.part, caught.value.part_tokens) == (part, 6)
    assert (caught.value.whole, caught.value.whole_tokens) == (whole, 5)


def test_a_part_has_a_whole() -> None:
    with pytest.raises(ImpossibleUsage) as caught:
        TokenUsage(reasoning_tokens=1)
    assert caught.value.whole_tokens is None
    assert TokenUsage(reasoning_tokens=0).known


def test_parts_that_do_not_overlap_fit_together() -> None:
    with pytest.raises(ImpossibleUsage, match=r"cache_read_tokens\+cache_write_tokens=12"):
        TokenUsage(input_tokens=10, cache_read_tokens=6, cache_write_tokens=6)


@given(st.data())
def test_parts_never_exceed_wholes(usages: Any, data: st.DataObject) -> None:
    usage: TokenUsage = data.draw(usages)
    counts: dict[str, int] = dict(zip(TOKEN_FIELDS, usage.vector(), strict=True))
    for whole, parts in PARTS:
        assert sum(counts[part] for part in parts) <= counts[whole]
    assert (usage.total_tokens or 0) == (
        counts["input_tokens"] + counts["output_tokens"] + counts["unclassified_tokens"]
    )


@given(st.dictionaries(st.sampled_from(TOKEN_FIELDS), st.integers(-2, 30)))
def test_whatever_is_built_fits_and_the_rest_is_refused(fields: dict[str, int]) -> None:
    fits = all(count >= 0 for count in fields.values()) and all(
        sum(fields.get(part, 0) for part in parts) <= fields.get(whole, 0) for whole, parts in PARTS
    )
    if fits:
        assert TokenUsage(**fields).vector() == tuple(fields.get(name, 0) for name in TOKEN_FIELDS)
    else:
        with pytest.raises(UsageError):
            TokenUsage(**fields)
