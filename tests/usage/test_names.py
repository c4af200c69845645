"""What providers and frameworks report becomes exact tokens, whatever they call them."""

from __future__ import annotations

from typing import Any

import pytest

from tokenbeat.usage.reported import Reported, read_usage
from tokenbeat.usage.tokens import TokenUsage


def told(**tokens: int) -> Reported:
    return Reported(TokenUsage(**tokens))


def lang(**fields: Any) -> dict[str, Any]:
    """A LangChain usage in the parts that a case names."""
    return {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, **fields}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
            told(input_tokens=10, output_tokens=5),
            id="1: a plain call",
        ),
        pytest.param(
            {"input_tokens": 100, "output_tokens": 50, "total_tokens": 0},
            told(input_tokens=100, output_tokens=50),
            id="2: a total of 0 beside parts is computed",
        ),
        pytest.param(
            {"input_tokens": 30, "output_tokens": 20},
            told(input_tokens=30, output_tokens=20),
            id="2: a missing total is computed",
        ),
        pytest.param({}, Reported(None), id="3: no usage at all"),
        pytest.param(
            lang(
                input_tokens=10,
                output_tokens=5,
                total_tokens=40,
                output_token_details={"reasoning": 25},
            ),
            told(input_tokens=10, output_tokens=30, reasoning_tokens=25),
            id="4: the total of 40 is kept, 25 of it reasoning",
        ),
        pytest.param(
            {"input_tokens": -5, "output_tokens": 20, "total_tokens": 15},
            Reported(TokenUsage(output_tokens=20), ("negative:input_tokens",), malformed=True),
            id="5: no negative value",
        ),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
            told(input_tokens=9, output_tokens=1),
            id="6: response_metadata.token_usage",
        ),
        pytest.param(
            {"total_tokens": 99}, told(unclassified_tokens=99), id="7: a total and nothing else"
        ),
        pytest.param(
            lang(
                input_tokens=100,
                output_tokens=10,
                total_tokens=110,
                input_token_details={"cache_read": 80},
            ),
            told(input_tokens=100, output_tokens=10, cache_read_tokens=80),
            id="66: cached input is inside input",
        ),
        pytest.param(
            {
                "prompt_tokens": 106,
                "completion_tokens": 112,
                "total_tokens": 218,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 42,
            },
            told(input_tokens=106, output_tokens=112, cache_read_tokens=64),
            id="67: DeepSeek",
        ),
        pytest.param(
            {
                "input_tokens": 100,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 200,
                "output_tokens": 50,
            },
            told(
                input_tokens=1200,
                output_tokens=50,
                cache_read_tokens=900,
                cache_write_tokens=200,
            ),
            id="68: Anthropic's cached input is beside input",
        ),
        pytest.param(
            lang(
                input_tokens=1200,
                output_tokens=50,
                total_tokens=1250,
                input_token_details={
                    "cache_read": 900,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 150,
                    "ephemeral_1h_input_tokens": 50,
                },
            ),
            told(
                input_tokens=1200,
                output_tokens=50,
                cache_read_tokens=900,
                cache_write_tokens=200,
                cache_write_5m_tokens=150,
                cache_write_1h_tokens=50,
            ),
            id="69: writes split by lifetime are 200, not 0 and not 400",
        ),
        pytest.param(
            {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 15,
            },
            told(input_tokens=10, output_tokens=5, cache_read_tokens=3, reasoning_tokens=2),
            id="70: reasoning is inside output",
        ),
        pytest.param(
            lang(input_tokens=10, output_tokens=5, total_tokens=15, total_cost=0),
            told(input_tokens=10, output_tokens=5),
            id="71: a cached response's usage reads like any other",
        ),
        pytest.param(
            lang(total_tokens=342, input_tokens=200, output_tokens=142),
            told(input_tokens=200, output_tokens=142),
            id="AgentSpec: total 342",
        ),
        pytest.param(
            {"total_tokens": 342}, told(unclassified_tokens=342), id="AgentSpec: total only"
        ),
        pytest.param(
            lang(total_tokens=500, input_tokens=200, output_tokens=142),
            told(input_tokens=200, output_tokens=142, unclassified_tokens=158),
            id="AgentSpec: hidden reasoning",
        ),
        pytest.param(
            {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
            Reported(None),
            id="AgentSpec: null counts",
        ),
        pytest.param(
            {"total_tokens": "abc"},
            Reported(None, ("not_an_integer:total_tokens",), malformed=True),
            id="AgentSpec: a word for a total",
        ),
        pytest.param(
            lang(
                total_tokens=342,
                input_tokens=200,
                output_tokens=142,
                input_token_details={"cache_read": 150},
            ),
            told(input_tokens=200, output_tokens=142, cache_read_tokens=150),
            id="AgentSpec: cached input is kept",
        ),
    ],
)
def test_the_acceptance_cases_hold(raw: dict[str, Any], expected: Reported) -> None:
    assert read_usage(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 150,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 70},
                    {"modality": "AUDIO", "tokenCount": 20},
                    {"modality": "VIDEO", "tokenCount": 10},
                ],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
            },
            told(
                input_tokens=100,
                output_tokens=50,
                cache_read_tokens=40,
                reasoning_tokens=30,
                input_text_tokens=70,
                input_audio_tokens=20,
                output_image_tokens=20,
            ),
            id="Gemini as JSON: thoughts are beside candidates",
        ),
        pytest.param(
            {
                "prompt_token_count": 100,
                "tool_use_prompt_token_count": 7,
                "candidates_token_count": 20,
                "thoughts_token_count": 30,
                "total_token_count": 157,
                "prompt_tokens_details": [{"modality": "TEXT", "token_count": 100}],
            },
            told(
                input_tokens=107,
                output_tokens=50,
                reasoning_tokens=30,
                input_text_tokens=100,
            ),
            id="Gemini as Python: its tools' results are input",
        ),
        pytest.param(
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 5,
                "totalTokenCount": 30,
            },
            told(input_tokens=10, output_tokens=20, reasoning_tokens=5),
            id="a Gemini dialect that counts thoughts inside, as its total says",
        ),
        pytest.param(
            {"promptTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 15},
            told(input_tokens=10, output_tokens=5, reasoning_tokens=5),
            id="Gemini stopped while it thought",
        ),
        pytest.param(
            {"model": "llama3", "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4e9},
            told(input_tokens=26, output_tokens=298),
            id="Ollama",
        ),
        pytest.param(
            {
                "inputTokens": 100,
                "outputTokens": 50,
                "totalTokens": 1250,
                "cacheReadInputTokens": 900,
                "cacheWriteInputTokens": 200,
            },
            told(
                input_tokens=1200,
                output_tokens=50,
                cache_read_tokens=900,
                cache_write_tokens=200,
            ),
            id="Bedrock Converse",
        ),
        pytest.param(
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "total_tokens": 15,
                "queue_time": 0.05,
                "prompt_time": 0.001,
                "total_time": 0.01,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            told(input_tokens=12, output_tokens=3, cache_read_tokens=4),
            id="Groq",
        ),
        pytest.param(
            {
                "prompt_tokens": 8,
                "completion_tokens": 2,
                "total_tokens": 10,
                "prompt_audio_seconds": {},
                "num_cached_tokens": 6,
            },
            told(input_tokens=8, output_tokens=2, cache_read_tokens=6),
            id="Mistral",
        ),
        pytest.param(
            {
                "prompt_tokens": 1200,
                "completion_tokens": 50,
                "total_tokens": 1250,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 200,
            },
            told(
                input_tokens=1200,
                output_tokens=50,
                cache_read_tokens=900,
                cache_write_tokens=200,
            ),
            id="LiteLLM: Anthropic's cached input inside OpenAI's input",
        ),
        pytest.param(
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            told(input_tokens=32, output_tokens=103, reasoning_tokens=94),
            id="xAI: reasoning beside output, as its total says",
        ),
        pytest.param(
            lang(
                input_tokens=100,
                output_tokens=50,
                total_tokens=1050,
                input_token_details={"cache_read": 900},
            ),
            told(input_tokens=1000, output_tokens=50, cache_read_tokens=900),
            id="an adapter that forgot cached input, as its total says",
        ),
        pytest.param(
            lang(
                input_tokens=100,
                output_tokens=50,
                total_tokens=1080,
                input_token_details={"cache_read": 900},
                output_token_details={"reasoning": 30},
            ),
            told(input_tokens=1000, output_tokens=80, cache_read_tokens=900, reasoning_tokens=30),
            id="an adapter that forgot both",
        ),
        pytest.param(
            lang(
                input_tokens=10,
                output_tokens=50,
                total_tokens=90,
                input_token_details={"cache_read": 30},
                output_token_details={"reasoning": 30},
            ),
            told(input_tokens=40, output_tokens=50, cache_read_tokens=30, reasoning_tokens=30),
            id="the part that does not fit is the one that was forgotten",
        ),
        pytest.param(
            lang(
                input_tokens=100,
                output_tokens=50,
                total_tokens=180,
                input_token_details={"cache_read": 30},
                output_token_details={"reasoning": 10},
            ),
            told(input_tokens=130, output_tokens=50, cache_read_tokens=30, reasoning_tokens=10),
            id="an adapter that forgot cached input and not reasoning",
        ),
        pytest.param(
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "prompt_tokens_details": {"cached_tokens": 6},
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            told(input_tokens=32, output_tokens=103, cache_read_tokens=6, reasoning_tokens=94),
            id="xAI: reasoning beside output, cached input inside input",
        ),
        pytest.param(
            {"prompt_tokens": 8, "total_tokens": 8}, told(input_tokens=8), id="an embedding"
        ),
        pytest.param(
            {"prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 4},
            told(input_tokens=7, cache_read_tokens=3),
            id="hits and misses are all of the input",
        ),
        pytest.param(
            {"cache_creation": {"ephemeral_5m_input_tokens": 20}, "input_tokens": 10},
            told(input_tokens=30, cache_write_tokens=20, cache_write_5m_tokens=20),
            id="Anthropic's writes by lifetime without their sum",
        ),
        pytest.param(
            lang(
                input_tokens=10,
                output_tokens=20,
                total_tokens=30,
                input_token_details={"priority_cache_read": 4, "priority": 6},
                output_token_details={"priority_reasoning": 5, "priority": 15},
            ),
            told(input_tokens=10, output_tokens=20, cache_read_tokens=4, reasoning_tokens=5),
            id="langchain-openai on a paid tier",
        ),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0, "prompt_tokens": 9, "completion_tokens": 1},
            told(input_tokens=9, output_tokens=1),
            id="a gateway that fills in both vocabularies",
        ),
        pytest.param({"total_tokens": 0}, told(unclassified_tokens=0), id="none is not silence"),
        pytest.param({"model": "x", "cost": 0.1}, Reported(None), id="nothing about tokens"),
    ],
)
def test_each_provider_is_read_under_its_own_names(raw: Any, expected: Reported) -> None:
    assert read_usage(raw) == expected


@pytest.mark.parametrize("provider", ["anthropic", "aws.bedrock", "amazon_bedrock"])
def test_the_provider_settles_what_the_names_leave_open(provider: str) -> None:
    raw = {"prompt_tokens": 100, "completion_tokens": 5, "cache_read_input_tokens": 60}
    assert read_usage(raw) == told(input_tokens=100, output_tokens=5, cache_read_tokens=60)
    assert read_usage(raw, provider=provider) == told(
        input_tokens=160, output_tokens=5, cache_read_tokens=60
    )


def test_cohere_counts_in_floats_and_bills_less_than_the_model_saw() -> None:
    billed = {"input_tokens": 5.0, "output_tokens": 418.0, "search_units": 1.0}
    seen = {"input_tokens": 71.0, "output_tokens": 418.0}
    expected = told(input_tokens=5, output_tokens=418)
    assert read_usage({"billed_units": billed, "tokens": seen}, provider="cohere") == expected
    assert read_usage({"tokens": seen, "billed_units": billed}, provider="cohere") == expected
    assert read_usage({"tokens": seen}, provider="cohere") == told(
        input_tokens=71, output_tokens=418
    )
    assert read_usage(seen).anomalies == (
        "not_an_integer:input_tokens",
        "not_an_integer:output_tokens",
    )
    assert read_usage({"input_tokens": 5.5}, provider="cohere").anomalies == (
        "not_an_integer:input_tokens",
    )
    assert read_usage({"tokens": 12, "total_tokens": 3}) == told(unclassified_tokens=3)
