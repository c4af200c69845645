"""OpenAI responses: ``POST /v1/responses``, and ``GET /v1/responses/{id}`` to read one again.

A stream always tells its usage, with ``response.completed``.

Source: OpenAI API reference, responses and their streaming events.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenbeat.testing.asked import Asked
from tokenbeat.testing.errors import MalformedModelRequest
from tokenbeat.testing.openai_wire import openai_error, tag_of
from tokenbeat.testing.reply import Event, compact, cut_text
from tokenbeat.testing.request_body import (
    characters,
    fingerprint,
    flag,
    objects,
    required_text,
    text_at,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenbeat.testing.answer import Failure
    from tokenbeat.testing.asked import Api
    from tokenbeat.testing.reply import Reply
    from tokenbeat.testing.request_body import Json


class OpenAIResponses:
    """The wire format of responses."""

    api: Api = "openai.responses"
    id_prefix = "resp_"
    call_id_prefix = "call_"
    request_id_header = "x-request-id"

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        given: object = body.get("input")
        if not given or not isinstance(given, (str, list)):
            raise MalformedModelRequest(field="input", problem="must be text or an array of items")
        items = objects(body.get("input"))
        said = [item for item in items if text_at(item, "role") in {"system", "developer"}]
        system_text = text_of([body.get("instructions"), [item.get("content") for item in said]])
        last = items[-1] if items else {}
        return Asked(
            api=self.api,
            operation="chat",
            model=required_text(body, "model"),
            stream=flag(body, "stream"),
            include_usage=True,
            continuous_usage=False,
            choices=1,
            items=1,
            turn=_turns(items),
            after_tool=text_at(last, "type") == "function_call_output",
            system_text=system_text,
            last_text=given if isinstance(given, str) else text_of(last),
            prompt_characters=characters(
                body.get("instructions"), body.get("input"), body.get("tools")
            ),
            fingerprint=fingerprint(body),
            user=text_at(body, "user"),
            tag=tag_of(body, headers=headers, system_text=system_text),
        )

    def reported(self, reply: Reply) -> Json:
        """The whole usage in the words of the responses API."""
        usage = reply.usage
        return {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {
                "cached_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
            },
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.total_tokens,
        }

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that does not stream."""
        tells = reply.answer.tells_usage
        return {
            **self._head(reply, status="completed"),
            "output": self._output(reply),
            "usage": reply.sent(self.reported(reply)) if tells else None,
        }

    def events(self, reply: Reply) -> Iterator[Event]:
        """The events of an answer that streams, numbered in sequence."""
        begun: Json = {**self._head(reply, status="in_progress"), "output": [], "usage": None}
        number = 0
        opening: list[Json] = [
            {"type": f"response.{state}", "response": begun} for state in _OPENING
        ]
        for data in (*opening, *self._items(reply)):
            yield _event(data, number=number)
            number += 1
        tells = reply.answer.tells_usage
        completed = {"type": "response.completed", "response": self.whole(reply)}
        yield Event(
            name="response.completed",
            data=compact({**completed, "sequence_number": number}),
            is_closing=True,
            tells_input_tokens=reply.usage.input_tokens if tells else None,
            tells_output_tokens=reply.usage.output_tokens if tells else None,
            tells_final=tells,
        )

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """OpenAI's error body."""
        return openai_error(failure, request_id=request_id)

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream that has begun."""
        error = openai_error(failure, request_id=request_id)["error"]
        data = {
            "type": "error",
            "code": error["code"] or error["type"],
            "message": error["message"],
            "param": None,
            "sequence_number": 0,
        }
        return Event(name="error", data=compact(data))

    def _head(self, reply: Reply, *, status: str) -> Json:
        return {
            "id": reply.response_id,
            "object": "response",
            "created_at": reply.created_s,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": reply.body.get("instructions"),
            "metadata": reply.body.get("metadata") or {},
            "model": reply.model,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],  # what the client sent may have a form that only the provider normalises
            "top_p": 1.0,
        }

    def _output(self, reply: Reply) -> list[Json]:
        """The items, with ids that follow from the response's so that both forms agree."""
        rest = reply.response_id.removeprefix(self.id_prefix)
        output: list[Json] = []
        if reply.text:
            output.append(
                {
                    "id": f"msg_{rest}",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [_text_part(reply.text)],
                }
            )
        output.extend(
            {
                "id": f"fc_{place}{rest}",
                "type": "function_call",
                "status": "completed",
                "call_id": reply.call_id(choice=0, place=place),
                "name": call.name,
                "arguments": json.dumps(dict(call.arguments)),
            }
            for place, call in enumerate(reply.answer.tool_calls)
        )
        return output

    def _items(self, reply: Reply) -> Iterator[Json]:
        for place, item in enumerate(self._output(reply)):
            empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
            at: Json = {"output_index": place}
            yield {
                "type": "response.output_item.added",
                **at,
                "item": {**item, **empty, "status": "in_progress"},
            }
            at_item = {**at, "item_id": item["id"]}
            yield from (
                _message_events(reply, at=at_item)
                if item["type"] == "message"
                else _call_events(item, at=at_item)
            )
            yield {"type": "response.output_item.done", **at, "item": item}


_OPENING = ("created", "in_progress")
_PIECES = frozenset({"response.output_text.delta", "response.function_call_arguments.delta"})


def _turns(items: list[Json]) -> int:
    """How many answers of the model the input holds; tool calls of one answer stand together."""
    turns = 0
    before: str | None = None
    for item in items:
        kind = text_at(item, "type") or "message"
        by_model = kind in {"function_call", "reasoning"} or text_at(item, "role") == "assistant"
        turns += by_model and before != "model"
        before = "model" if by_model else kind
    return turns


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message_events(reply: Reply, *, at: Json) -> Iterator[Json]:
    part: Json = {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **part, "part": _text_part("")}
    for piece in reply.pieces:
        yield {"type": "response.output_text.delta", **part, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **part, "text": reply.text, "logprobs": []}
    yield {"type": "response.content_part.done", **part, "part": _text_part(reply.text)}


def _call_events(item: Json, *, at: Json) -> Iterator[Json]:
    for piece in cut_text(item["arguments"], pieces=2):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    yield {
        "type": "response.function_call_arguments.done",
        **at,
        "name": item["name"],
        "arguments": item["arguments"],
    }


def _event(data: Json, *, number: int) -> Event:
    kind = str(data["type"])
    return Event(
        name=kind,
        data=compact({**data, "sequence_number": number}),
        is_piece=kind in _PIECES,
    )
