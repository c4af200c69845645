"""The names under which providers and frameworks report tokens, each with its field of ours.

One table for all: which provider wrote a name does not matter, only what the name counts. Where
that depends on what stands beside it, `tokenbeat.usage.reported` decides. Names that are not here
(prices, durations, tiers, predicted tokens that are inside output already) are not read.

Sources: OpenAI chat completions and responses, Anthropic messages, Gemini ``usageMetadata``,
Bedrock Converse and InvokeModel, Ollama, DeepSeek, Moonshot, Mistral, Cohere, watsonx, and
LangChain's ``UsageMetadata``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT: Final = "input_tokens"
OUTPUT: Final = "output_tokens"
READ: Final = "cache_read_tokens"
WRITE: Final = "cache_write_tokens"
WRITE_5M: Final = "cache_write_5m_tokens"
WRITE_1H: Final = "cache_write_1h_tokens"
REASONING: Final = "reasoning_tokens"
UNCLASSIFIED: Final = "unclassified_tokens"

TOTAL: Final = "total_tokens"
"""A reported total: no field of its own, but what it has beyond input and output is one."""
READ_BESIDE: Final = "cache_read_beside"
"""Cached input that Anthropic and Bedrock report beside input instead of inside it."""
WRITE_BESIDE: Final = "cache_write_beside"
"""Cache writes that they report likewise."""
THOUGHTS: Final = "thoughts"
"""Reasoning that Gemini reports beside output."""
TOOL_PROMPT: Final = "tool_prompt"
"""Results of Gemini's own tools, fed back to the model: input beside the prompt."""
CACHE_MISS: Final = "cache_miss"
"""DeepSeek's input that was not cached: with the hits, all of the input."""

APART: Final = frozenset({READ_BESIDE, WRITE_BESIDE, THOUGHTS, TOOL_PROMPT, CACHE_MISS})
"""What is no field of `TokenUsage` and has to be put where it belongs."""

CHAT_INPUT: Final = "prompt_tokens"
"""OpenAI's name of input. Who uses it counts cached input inside (LiteLLM, OpenRouter), also beside
Anthropic's names of cached input."""

LIFETIMES_BESIDE: Final = "cache_creation"
"""Anthropic's group of cache writes by lifetime; they stand beside input, like their sum."""

COUNTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # LangChain, OpenAI responses, Anthropic
        "input_tokens": INPUT,
        "output_tokens": OUTPUT,
        "total_tokens": TOTAL,
        "cache_read_input_tokens": READ_BESIDE,
        "cache_creation_input_tokens": WRITE_BESIDE,
        "cache_write_input_tokens": WRITE_BESIDE,  # langchain-aws, from Bedrock's headers
        # OpenAI chat completions and everything that is compatible with it
        CHAT_INPUT: INPUT,
        "completion_tokens": OUTPUT,
        "cached_tokens": READ,  # Moonshot, Cohere
        "num_cached_tokens": READ,  # Mistral
        "reasoning_tokens": REASONING,
        "prompt_cache_hit_tokens": READ,  # DeepSeek
        "prompt_cache_miss_tokens": CACHE_MISS,
        # Gemini, as JSON and as Python
        "promptTokenCount": INPUT,
        "prompt_token_count": INPUT,
        "candidatesTokenCount": OUTPUT,
        "candidates_token_count": OUTPUT,
        "responseTokenCount": OUTPUT,  # its live API
        "response_token_count": OUTPUT,
        "totalTokenCount": TOTAL,
        "total_token_count": TOTAL,
        "cachedContentTokenCount": READ,
        "cached_content_token_count": READ,
        "thoughtsTokenCount": THOUGHTS,
        "thoughts_token_count": THOUGHTS,
        "toolUsePromptTokenCount": TOOL_PROMPT,
        "tool_use_prompt_token_count": TOOL_PROMPT,
        # Ollama
        "prompt_eval_count": INPUT,
        "eval_count": OUTPUT,
        # Bedrock: Converse, and the metrics of InvokeModel
        "inputTokens": INPUT,
        "outputTokens": OUTPUT,
        "totalTokens": TOTAL,
        "cacheReadInputTokens": READ_BESIDE,
        "cacheWriteInputTokens": WRITE_BESIDE,
        "inputTokenCount": INPUT,
        "outputTokenCount": OUTPUT,
        "cacheReadInputTokenCount": READ_BESIDE,
        "cacheWriteInputTokenCount": WRITE_BESIDE,
        "inputTextTokenCount": INPUT,  # Titan
        # watsonx
        "input_token_count": INPUT,
        "generated_token_count": OUTPUT,
    }
)
"""Names of counts."""

_LIFETIMES: Final[Mapping[str, str]] = MappingProxyType(
    {"ephemeral_5m_input_tokens": WRITE_5M, "ephemeral_1h_input_tokens": WRITE_1H}
)

_OF_INPUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cache_read": READ,  # LangChain; langchain-openai puts a paid tier's name before it
        "priority_cache_read": READ,
        "flex_cache_read": READ,
        "cache_creation": WRITE,
        "priority_cache_creation": WRITE,
        "flex_cache_creation": WRITE,
        **_LIFETIMES,  # langchain-anthropic; it sets ``cache_creation`` to 0 then
        "cached_tokens": READ,
        "cache_write_tokens": WRITE,
        "text": "input_text_tokens",
        "text_tokens": "input_text_tokens",
        "audio": "input_audio_tokens",
        "audio_tokens": "input_audio_tokens",
        "image": "input_image_tokens",
        "image_tokens": "input_image_tokens",
    }
)

_OF_OUTPUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reasoning": REASONING,
        "priority_reasoning": REASONING,
        "flex_reasoning": REASONING,
        "reasoning_tokens": REASONING,
        "thinking_tokens": REASONING,  # Anthropic
        "text": "output_text_tokens",
        "text_tokens": "output_text_tokens",
        "audio": "output_audio_tokens",
        "audio_tokens": "output_audio_tokens",
        "image": "output_image_tokens",
        "image_tokens": "output_image_tokens",
    }
)

DETAILS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "input_token_details": _OF_INPUT,  # LangChain, OpenAI realtime
        "output_token_details": _OF_OUTPUT,
        "input_tokens_details": _OF_INPUT,  # OpenAI responses
        "output_tokens_details": _OF_OUTPUT,  # the same, and Anthropic
        "prompt_tokens_details": _OF_INPUT,  # OpenAI chat completions
        "completion_tokens_details": _OF_OUTPUT,
        LIFETIMES_BESIDE: _LIFETIMES,
    }
)
"""Names of groups of counts, each with the names in it."""

_INPUT_MODALITIES: Final[Mapping[str, str]] = MappingProxyType(
    {"TEXT": "input_text_tokens", "AUDIO": "input_audio_tokens", "IMAGE": "input_image_tokens"}
)
_OUTPUT_MODALITIES: Final[Mapping[str, str]] = MappingProxyType(
    {"TEXT": "output_text_tokens", "AUDIO": "output_audio_tokens", "IMAGE": "output_image_tokens"}
)

MODALITIES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "promptTokensDetails": _INPUT_MODALITIES,
        "candidatesTokensDetails": _OUTPUT_MODALITIES,
        "candidates_tokens_details": _OUTPUT_MODALITIES,
        "responseTokensDetails": _OUTPUT_MODALITIES,
        "response_tokens_details": _OUTPUT_MODALITIES,
        # One name, two shapes: a list in Gemini's Python SDK, a group in OpenAI's.
        "prompt_tokens_details": _INPUT_MODALITIES,
    }
)
"""Names of Gemini's lists of ``{modality, tokenCount}``; video and documents have no field."""

BILLED_BLOCKS: Final = ("billed_units", "tokens")
"""Cohere's groups of input and output: what is billed comes before what the model saw
(OpenTelemetry GenAI conventions: where both are known, the billed one is told)."""

ITERATIONS: Final = "iterations"
"""Anthropic's list of the requests inside one response. Its entries of type ``compaction`` are not
in the usage around them; the others are, or are another model's."""

GROUPS: Final = frozenset({*DETAILS, *MODALITIES, *BILLED_BLOCKS, ITERATIONS})
"""All names whose value is no count but holds some."""

WHOLE_FLOATS_FROM: Final = frozenset({"cohere"})
"""Providers whose API declares counts as floats: there 12.0 is the exact integer 12."""

CACHE_BESIDE_PROMPT: Final = frozenset({"anthropic", "aws.bedrock", "amazon_bedrock"})
"""Providers that count cached input beside input whatever the name of input is."""
