"""OpenAI completions: ``POST /v1/completions``, one answer for each prompt and candidate.

Source: OpenAI API reference, completions (legacy).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tokenbeat.testing.asked import Asked
from tokenbeat.testing.errors import MalformedModelRequest
from tokenbeat.testing.openai_wire import (
    DONE,
    completion_usage,
    final_usage_event,
    openai_error,
    openai_error_event,
    tag_of,
)
from tokenbeat.testing.reply import Event, compact
from tokenbeat.testing.request_body import (
    characters,
    count,
    fingerprint,
    flag,
    object_at,
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


class OpenAICompletions:
    """The wire format of completions."""

    api: Api = "openai.completions"
    id_prefix = "cmpl-"
    call_id_prefix = "call_"
    request_id_header = "x-request-id"

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        inputs = inputs_at(body, "prompt")
        options = object_at(body, "stream_options")
        stream = flag(body, "stream")
        return Asked(
            api=self.api,
            operation="text_completion",
            model=required_text(body, "model"),
            stream=stream,
            include_usage=not stream or flag(options, "include_usage"),
            continuous_usage=False,
            choices=count(body, "n"),
            items=len(inputs),
            turn=0,
            after_tool=False,
            system_text="",
            last_text=text_of(inputs[-1]),
            prompt_characters=characters(*inputs),
            fingerprint=fingerprint(body),
            user=text_at(body, "user"),
            tag=tag_of(body, headers=headers, system_text=""),
        )

    def reported(self, reply: Reply) -> Json:
        """The whole usage in OpenAI's words; details only where the script has some."""
        usage = reply.usage
        detailed = usage.cache_read_tokens or usage.reasoning_tokens
        return completion_usage(usage, with_details=bool(detailed))

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that does not stream."""
        finish = reply.answer.finish_reason or "stop"
        choices = [
            _choice(choice, text=reply.text, finish=finish) for choice in range(_choices(reply))
        ]
        told = {"usage": reply.sent(self.reported(reply))} if reply.answer.tells_usage else {}
        return {**self._head(reply), "choices": choices, **told}

    def events(self, reply: Reply) -> Iterator[Event]:
        """The events of an answer that streams."""
        tells = reply.asked.include_usage and reply.answer.tells_usage
        head = {**self._head(reply), **({"usage": None} if tells else {})}
        finish = reply.answer.finish_reason or "stop"
        for choice in range(_choices(reply)):
            for piece in reply.pieces:
                said = [_choice(choice, text=piece, finish=None)]
                yield Event(data=compact({**head, "choices": said}), is_piece=True)
        for choice in range(_choices(reply)):
            ended = [_choice(choice, text="", finish=finish)]
            yield Event(data=compact({**head, "choices": ended}), is_closing=True)
        if tells:
            usage = reply.sent(self.reported(reply))
            yield final_usage_event({**head, "choices": [], "usage": usage}, usage=reply.usage)
        yield DONE

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """OpenAI's error body."""
        return openai_error(failure, request_id=request_id)

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream that has begun."""
        return openai_error_event(failure, request_id=request_id)

    def _head(self, reply: Reply) -> Json:
        return {
            "id": reply.response_id,
            "object": "text_completion",
            "created": reply.created_s,
            "model": reply.model,
        }


def inputs_at(body: Json, name: str) -> list[object]:
    """The prompts or inputs of one request: text, token numbers, or an array of either.

    Raises:
        MalformedModelRequest: it is something else, or empty.
    """
    value: object = body.get(name)
    if isinstance(value, str):
        return [value]
    values = cast("list[object]", value) if isinstance(value, list) else []
    if values and all(type(one) is int for one in values):
        return [values]  # one input, as token numbers
    if values and all(isinstance(one, (str, list)) for one in values):
        return values
    raise MalformedModelRequest(field=name, problem="must be text or an array of it")


def _choices(reply: Reply) -> int:
    return reply.asked.items * reply.asked.choices


def _choice(index: int, *, text: str, finish: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
