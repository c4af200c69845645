"""What OpenAI's APIs have in common: usage, errors, tags, and the shape of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.testing.answer import Failure, Usage
from tokenbeat.testing.asked import tag_in
from tokenbeat.testing.reply import Event, Reply, compact
from tokenbeat.testing.request_body import Json, object_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG_HEADER = "x-tokenbeat-label"

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_exceeded",
}


def openai_error(failure: Failure, *, request_id: str) -> Json:
    """OpenAI's error body."""
    del request_id  # it stands in a header only
    return {
        "error": {
            "message": failure.message,
            "type": failure.type or _ERROR_TYPES.get(failure.status, "server_error"),
            "param": None,
            "code": failure.code,
        }
    }


def openai_error_event(failure: Failure, *, request_id: str) -> Event:
    """OpenAI's error in a stream of chat completions or completions."""
    return Event(data=compact(openai_error(failure, request_id=request_id)))


def tag_of(body: Json, *, headers: Mapping[str, str], system_text: str) -> str | None:
    """The request's own label: header, else ``metadata.label``, else the system prompt's marker."""
    return (
        headers.get(TAG_HEADER)
        or text_at(object_at(body, "metadata"), "label")
        or tag_in(system_text)
    )


def completion_usage(usage: Usage, *, with_details: bool = True) -> Json:
    """The ``usage`` of chat completions and completions.

    ``total_tokens`` is the sum of both wholes and of what the script leaves unclassified.
    """
    told: Json = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if with_details:
        told["prompt_tokens_details"] = {
            "cached_tokens": usage.cache_read_tokens,
            "audio_tokens": usage.audio_input_tokens,
        }
        if usage.cache_write_tokens:
            told["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write_tokens
        told["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return told


def usage_after(reply: Reply, *, pieces: int, of: int) -> Usage:
    """The growing usage after some of a stream's pieces (``continuous_usage_stats``)."""
    return Usage(
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens * pieces // of,
    )


def final_usage_event(data: Json, *, usage: Usage) -> Event:
    """The chunk without choices that tells a stream's usage."""
    return Event(
        data=compact(data),
        is_closing=True,
        tells_input_tokens=usage.input_tokens,
        tells_output_tokens=usage.output_tokens,
        tells_final=True,
    )


DONE = Event(data="[DONE]", is_closing=True)
