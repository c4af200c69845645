"""The SDKs' own objects read like their dumps."""

from __future__ import annotations

from typing import Any

from anthropic.types import CacheCreation, Usage
from anthropic.types.beta import BetaUsage
from langchain_core.messages.ai import (
    InputTokenDetails,
    OutputTokenDetails,
    UsageMetadata,
    add_usage,
)
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from openai.types.responses.response_usage import ResponseUsage
from pydantic import BaseModel, ConfigDict

from tokenbeat.usage.reported import Reported, read_usage
from tokenbeat.usage.tokens import TokenUsage


def told(**tokens: int) -> Reported:
    return Reported(TokenUsage(**tokens))


def lang(**fields: Any) -> dict[str, Any]:
    """A LangChain usage in the parts that a case names."""
    return {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, **fields}


def test_openais_own_objects_and_their_dumps_read_alike() -> None:
    usage = CompletionUsage(
        prompt_tokens=100,
        completion_tokens=40,
        total_tokens=140,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=64, audio_tokens=8),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=10,
            audio_tokens=3,
            accepted_prediction_tokens=5,
            rejected_prediction_tokens=7,
        ),
    )
    expected = told(
        input_tokens=100,
        output_tokens=40,
        cache_read_tokens=64,
        reasoning_tokens=10,
        input_audio_tokens=8,
        output_audio_tokens=3,
    )
    for raw in (usage, usage.model_dump(), usage.model_dump(exclude_none=True)):
        assert read_usage(raw) == expected

    response = ResponseUsage.model_validate(
        {
            "input_tokens": 75,
            "input_tokens_details": {"cached_tokens": 32, "cache_write_tokens": 0},
            "output_tokens": 1186,
            "output_tokens_details": {"reasoning_tokens": 1024},
            "total_tokens": 1261,
        }
    )
    expected = told(
        input_tokens=75,
        output_tokens=1186,
        cache_read_tokens=32,
        cache_write_tokens=0,
        reasoning_tokens=1024,
    )
    assert read_usage(response) == read_usage(response.model_dump()) == expected


def test_a_field_that_a_client_does_not_know_yet_is_read_from_its_objects() -> None:
    class Plain(BaseModel):
        input_tokens: int

    class Older(Plain):
        model_config = ConfigDict(extra="allow")

    newer = {"input_tokens": 75, "cache_read_input_tokens": 32}
    assert read_usage(Older.model_validate(newer)) == read_usage(newer)
    assert read_usage(Older(input_tokens=75)) == read_usage(Plain(input_tokens=75))


def test_anthropics_own_objects_and_their_dumps_read_alike() -> None:
    usage = Usage(
        input_tokens=100,
        output_tokens=50,
        cache_read_input_tokens=900,
        cache_creation_input_tokens=200,
        cache_creation=CacheCreation(ephemeral_5m_input_tokens=150, ephemeral_1h_input_tokens=50),
        service_tier="standard",
    )
    expected = told(
        input_tokens=1200,
        output_tokens=50,
        cache_read_tokens=900,
        cache_write_tokens=200,
        cache_write_5m_tokens=150,
        cache_write_1h_tokens=50,
    )
    assert read_usage(usage) == read_usage(usage.model_dump()) == expected
    assert read_usage(Usage(input_tokens=10, output_tokens=5)) == told(
        input_tokens=10, output_tokens=5
    )


def test_anthropics_compaction_is_billed_beside_the_message() -> None:
    own = {
        "input_tokens": 23_000,
        "output_tokens": 1_000,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
    usage = BetaUsage.model_validate(
        {
            **own,
            "iterations": [
                {
                    **own,
                    "type": "compaction",
                    "input_tokens": 180_000,
                    "output_tokens": 3_500,
                    "cache_read_input_tokens": 20,
                },
                {**own, "type": "message", "model": "claude"},
            ],
        }
    )
    expected = told(
        input_tokens=203_020, output_tokens=4_500, cache_read_tokens=20, cache_write_tokens=0
    )
    assert read_usage(usage.model_dump()) == read_usage(usage) == expected
    only = read_usage({"iterations": [{"type": "compaction", "input_tokens": -1}, 5]})
    assert only == Reported(
        None, ("not_a_group:iterations", "negative:input_tokens"), malformed=True
    )


def test_langchains_own_arithmetic_on_usage_is_read() -> None:
    one = UsageMetadata(
        input_tokens=5,
        output_tokens=10,
        total_tokens=15,
        input_token_details=InputTokenDetails(cache_read=3),
        output_token_details=OutputTokenDetails(reasoning=4),
    )
    assert read_usage(add_usage(one, one)) == told(
        input_tokens=10, output_tokens=20, cache_read_tokens=6, reasoning_tokens=8
    )
