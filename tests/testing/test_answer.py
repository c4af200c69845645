"""Answers and usages that cannot be played cannot be built."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.testing import Answer, Failure, Usage
from tokenbeat.testing.errors import ImpossibleScriptedUsage, MalformedScript
from tokenbeat.testing.reply import cut_text


@pytest.mark.parametrize(
    ("counts", "field"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"output_tokens": 1.0}, "output_tokens"),
        ({"input_tokens": 5, "cache_read_tokens": 3, "cache_write_5m_tokens": 3}, "cache_read"),
        ({"output_tokens": 5, "reasoning_tokens": 6}, "reasoning_tokens"),
        ({"output_tokens": 5, "audio_output_tokens": 6}, "audio_output_tokens"),
        ({"input_tokens": 5, "audio_input_tokens": 6}, "audio_input_tokens"),
    ],
)
def test_a_usage_that_nobody_could_be_billed_is_refused(counts: dict[str, Any], field: str) -> None:
    with pytest.raises(ImpossibleScriptedUsage) as caught:
        Usage(**counts)

    assert caught.value.field.startswith(field)
    restored = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert restored.field == caught.value.field


def test_total_counts_each_token_once() -> None:
    usage = Usage(
        input_tokens=10,
        output_tokens=5,
        cache_read_tokens=4,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=1,
        reasoning_tokens=3,
        unclassified_tokens=2,
    )

    assert usage.total_tokens == 17
    assert (usage + usage).total_tokens == 34
    assert (usage + usage).cache_write_tokens == 6


@pytest.mark.parametrize(
    "build",
    [
        lambda: Answer(chunks=0),
        lambda: Answer(delay_s=-1.0),
        lambda: Answer(cut_after_chunks=-1),
        lambda: Answer(pause_after_chunks=-1),
        lambda: Failure(status=200),
        lambda: Failure(after_chunks=-1),
    ],
)
def test_an_answer_that_cannot_be_played_is_refused(build: Any) -> None:
    with pytest.raises(MalformedScript):
        build()


@given(st.text(max_size=40), st.integers(min_value=1, max_value=60))
def test_pieces_make_up_the_text_again(text: str, pieces: int) -> None:
    cut = cut_text(text, pieces=pieces)

    assert "".join(cut) == text
    assert len(cut) == pieces
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
