"""Usages that can exist, for the laws of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy


@st.composite
def _usages(draw: DrawFn, largest: int) -> TokenUsage:
    """A usage whose parts fit, each field told or not."""
    fields: dict[str, int] = {}

    def tell(field: str, most: int) -> int:
        if most < 0 or draw(st.booleans()):
            return 0
        fields[field] = draw(st.integers(0, most))
        return fields[field]

    whole = tell("input_tokens", largest)
    if "input_tokens" in fields:
        read = tell("cache_read_tokens", whole)
        write = tell("cache_write_tokens", whole - read)
        if "cache_write_tokens" in fields:
            tell("cache_write_1h_tokens", write - tell("cache_write_5m_tokens", write))
        rest = whole - tell("input_text_tokens", whole)
        tell("input_image_tokens", rest - tell("input_audio_tokens", rest))
    whole = tell("output_tokens", largest)
    if "output_tokens" in fields:
        tell("reasoning_tokens", whole)
        rest = whole - tell("output_text_tokens", whole)
        tell("output_image_tokens", rest - tell("output_audio_tokens", rest))
    tell("unclassified_tokens", largest)
    return TokenUsage(**fields)


@pytest.fixture(scope="session")
def usages() -> SearchStrategy[TokenUsage]:
    """Any usage that can exist, with up to 10,000 tokens in a field."""
    return _usages(10_000)
