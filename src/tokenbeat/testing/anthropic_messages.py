"""Anthropic messages: ``POST /v1/messages``.

Cached input stands beside input here: ``input_tokens``, ``cache_read_input_tokens`` and
``cache_creation_input_tokens`` add up to all input. In a stream ``message_start`` tells the input
and a first output token, ``message_delta`` the growing totals.

Source: Anthropic API reference, messages and streaming messages.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenbeat.testing.asked import Api, Asked, tag_in
from tokenbeat.testing.openai_wire import TAG_HEADER
from tokenbeat.testing.reply import Event, Reply, compact, cut_text
from tokenbeat.testing.request_body import (
    Json,
    characters,
    fingerprint,
    flag,
    object_at,
    objects,
    required_list,
    required_text,
    text_at,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenbeat.testing.answer import Failure, Usage

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """The wire format of messages."""

    api: Api = "anthropic.messages"
    id_prefix = "msg_01"
    call_id_prefix = "toolu_01"
    request_id_header = "request-id"

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        messages = objects(required_list(body, "messages"))
        last = messages[-1] if messages else {}
        system_text = text_of(body.get("system"))
        metadata = object_at(body, "metadata")
        tool_results = [
            part for part in objects(last.get("content")) if part.get("type") == "tool_result"
        ]
        return Asked(
            api=self.api,
            operation="chat",
            model=required_text(body, "model"),
            stream=flag(body, "stream"),
            include_usage=True,
            continuous_usage=False,
            choices=1,
            items=1,
            turn=[text_at(message, "role") for message in messages].count("assistant"),
            after_tool=bool(tool_results),
            system_text=system_text,
            last_text=text_of(last.get("content")),
            prompt_characters=characters(body.get("system"), messages, body.get("tools")),
            fingerprint=fingerprint(body),
            user=text_at(metadata, "user_id"),
            tag=headers.get(TAG_HEADER) or text_at(metadata, "label") or tag_in(system_text),
        )

    def reported(self, reply: Reply) -> Json:
        """The whole usage in Anthropic's words."""
        return {
            **_input_usage(reply.usage),
            "cache_creation": {
                "ephemeral_5m_input_tokens": reply.usage.cache_write_5m_tokens,
                "ephemeral_1h_input_tokens": reply.usage.cache_write_1h_tokens,
            },
            "output_tokens": reply.usage.output_tokens,
            **_thinking(reply.usage),
            "service_tier": "standard",
        }

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that does not stream."""
        usage = reply.sent(self.reported(reply)) if reply.answer.tells_usage else {}
        return self._message(
            reply, content=self._blocks(reply), stop_reason=self._stop_reason(reply), usage=usage
        )

    def events(self, reply: Reply) -> Iterator[Event]:
        """The events of an answer that streams."""
        yield self._start(reply)
        yield _event({"type": "ping"})
        for place, block in enumerate(self._blocks(reply)):
            empty: Json = {"text": ""} if block["type"] == "text" else {"input": {}}
            yield _event(
                {
                    "type": "content_block_start",
                    "index": place,
                    "content_block": {**block, **empty},
                }
            )
            for delta in _deltas(reply, block=block):
                yield _event(
                    {"type": "content_block_delta", "index": place, "delta": delta}, is_piece=True
                )
            yield _event({"type": "content_block_stop", "index": place})
        usage = {
            **_input_usage(reply.usage),
            "output_tokens": reply.usage.output_tokens,
            **_thinking(reply.usage),
        }
        tells = reply.answer.tells_usage
        yield Event(
            name="message_delta",
            data=compact(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": self._stop_reason(reply), "stop_sequence": None},
                    "usage": reply.sent(usage) if tells else {},
                }
            ),
            is_closing=True,
            tells_input_tokens=reply.usage.input_tokens if tells else None,
            tells_output_tokens=reply.usage.output_tokens if tells else None,
            tells_final=tells,
        )
        yield _event({"type": "message_stop"}, is_closing=True)

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """Anthropic's error body."""
        kind = failure.type or _ERROR_TYPES.get(failure.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": failure.message},
            "request_id": request_id,
        }

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream that has begun."""
        return Event(name="error", data=compact(self.error(failure, request_id=request_id)))

    def _message(
        self, reply: Reply, *, content: list[Json], stop_reason: str | None, usage: Json
    ) -> Json:
        return {
            "id": reply.response_id,
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }

    def _start(self, reply: Reply) -> Event:
        tells = reply.answer.tells_usage
        first_output_tokens = min(1, reply.usage.output_tokens)
        usage = {**self.reported(reply), "output_tokens": first_output_tokens}
        usage.pop("output_tokens_details", None)
        message = self._message(
            reply, content=[], stop_reason=None, usage=reply.sent(usage) if tells else {}
        )
        return Event(
            name="message_start",
            data=compact({"type": "message_start", "message": message}),
            tells_input_tokens=reply.usage.input_tokens if tells else None,
            tells_output_tokens=first_output_tokens if tells else None,
        )

    def _stop_reason(self, reply: Reply) -> str:
        fitting = "tool_use" if reply.answer.tool_calls else "end_turn"
        return reply.answer.finish_reason or fitting

    def _blocks(self, reply: Reply) -> list[Json]:
        text: list[Json] = [{"type": "text", "text": reply.text}] if reply.text else []
        return text + [
            {
                "type": "tool_use",
                "id": reply.call_id(choice=0, place=place),
                "name": call.name,
                "input": dict(call.arguments),
            }
            for place, call in enumerate(reply.answer.tool_calls)
        ]


def _input_usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
    }


def _thinking(usage: Usage) -> Json:
    if not usage.reasoning_tokens:
        return {}
    return {"output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}}


def _deltas(reply: Reply, *, block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        for piece in reply.pieces:
            yield {"type": "text_delta", "text": piece}
    else:
        for piece in cut_text(json.dumps(block["input"]), pieces=2):
            yield {"type": "input_json_delta", "partial_json": piece}


def _event(data: Json, *, is_piece: bool = False, is_closing: bool = False) -> Event:
    return Event(
        name=str(data["type"]), data=compact(data), is_piece=is_piece, is_closing=is_closing
    )
