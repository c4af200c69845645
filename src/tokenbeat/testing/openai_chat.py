"""OpenAI chat completions: ``POST /v1/chat/completions``.

Source: OpenAI API reference, chat completions and their streaming; vLLM's
``continuous_usage_stats``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenbeat.testing.asked import Api, Asked
from tokenbeat.testing.openai_wire import (
    DONE,
    completion_usage,
    final_usage_event,
    openai_error,
    openai_error_event,
    tag_of,
    usage_after,
)
from tokenbeat.testing.reply import Event, Reply, compact
from tokenbeat.testing.request_body import (
    Json,
    characters,
    count,
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


class OpenAIChat:
    """The wire format of chat completions."""

    api: Api = "openai.chat_completions"
    id_prefix = "chatcmpl-"
    call_id_prefix = "call_"
    request_id_header = "x-request-id"

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        messages = objects(required_list(body, "messages"))
        roles = [text_at(message, "role") for message in messages]
        system_text = text_of(
            [
                message.get("content")
                for message, role in zip(messages, roles, strict=True)
                if role in {"system", "developer"}
            ]
        )
        options = object_at(body, "stream_options")
        stream = flag(body, "stream")
        return Asked(
            api=self.api,
            operation="chat",
            model=required_text(body, "model"),
            stream=stream,
            include_usage=not stream or flag(options, "include_usage"),
            continuous_usage=stream and flag(options, "continuous_usage_stats"),
            choices=count(body, "n"),
            items=1,
            turn=roles.count("assistant"),
            after_tool=bool(roles) and roles[-1] in {"tool", "function"},
            system_text=system_text,
            last_text=text_of(messages[-1].get("content")) if messages else "",
            prompt_characters=characters(messages, body.get("tools")),
            fingerprint=fingerprint(body),
            user=text_at(body, "user"),
            tag=tag_of(body, headers=headers, system_text=system_text),
        )

    def reported(self, reply: Reply) -> Json:
        """The whole usage in OpenAI's words."""
        return completion_usage(reply.usage)

    def whole(self, reply: Reply) -> Json:
        """The body of an answer that does not stream."""
        message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
        choices: list[Json] = []
        for choice in range(reply.asked.choices):
            calls = self._calls(reply, choice=choice)
            choices.append(
                {
                    "index": choice,
                    "message": {**message, "tool_calls": calls} if calls else message,
                    "logprobs": None,
                    "finish_reason": self._finish(reply),
                }
            )
        told = {"usage": reply.sent(self.reported(reply))} if reply.answer.tells_usage else {}
        return {**self._head(reply, kind="chat.completion"), "choices": choices, **told}

    def events(self, reply: Reply) -> Iterator[Event]:
        """The events of an answer that streams: role, content, finish, and usage if asked for."""
        of = max(1, sum(1 for _ in self._deltas(reply)) * reply.asked.choices)
        places = range(reply.asked.choices)
        for choice in places:
            yield self._chunk(reply, choice=choice, delta={"role": "assistant", "content": ""})
        given = 0
        for choice in places:
            for delta in self._deltas(reply, choice=choice):
                given += 1
                yield self._chunk(reply, choice=choice, delta=delta, given=given, of=of)
        for choice in places:
            yield self._chunk(
                reply, choice=choice, delta={}, given=of, of=of, finish=self._finish(reply)
            )
        if reply.asked.include_usage and reply.answer.tells_usage:
            data: Json = {**self._head(reply, kind="chat.completion.chunk"), "choices": []}
            data["usage"] = reply.sent(self.reported(reply))
            yield final_usage_event(data, usage=reply.usage)
        yield DONE

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """OpenAI's error body."""
        return openai_error(failure, request_id=request_id)

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream that has begun."""
        return openai_error_event(failure, request_id=request_id)

    def _head(self, reply: Reply, *, kind: str) -> Json:
        return {
            "id": reply.response_id,
            "object": kind,
            "created": reply.created_s,
            "model": reply.model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }

    def _finish(self, reply: Reply) -> str:
        fitting = "tool_calls" if reply.answer.tool_calls else "stop"
        return reply.answer.finish_reason or fitting

    def _calls(self, reply: Reply, *, choice: int) -> list[Json]:
        return [
            {
                "id": reply.call_id(choice=choice, place=place),
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for place, call in enumerate(reply.answer.tool_calls)
        ]

    def _deltas(self, reply: Reply, *, choice: int = 0) -> Iterator[Json]:
        for piece in reply.pieces:
            yield {"content": piece}
        for place, call in enumerate(self._calls(reply, choice=choice)):
            function = call["function"]
            opened = {**call, "function": {"name": function["name"], "arguments": ""}}
            yield {"tool_calls": [{"index": place, **opened}]}
            rest = {"index": place, "function": {"arguments": function["arguments"]}}
            yield {"tool_calls": [rest]}

    def _chunk(  # noqa: PLR0913 - the fields of one chunk
        self,
        reply: Reply,
        *,
        choice: int,
        delta: Json,
        given: int = 0,
        of: int = 1,
        finish: str | None = None,
    ) -> Event:
        data = self._head(reply, kind="chat.completion.chunk")
        data["choices"] = [
            {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        ]
        told: Usage | None = None
        if reply.asked.include_usage and reply.answer.tells_usage:
            data["usage"] = None
            if reply.asked.continuous_usage:
                told = usage_after(reply, pieces=given, of=of)
                data["usage"] = reply.sent(completion_usage(told, with_details=False))
        return Event(
            data=compact(data),
            is_piece=given > 0 and finish is None,
            is_closing=finish is not None,
            tells_input_tokens=told.input_tokens if told else None,
            tells_output_tokens=told.output_tokens if told else None,
        )
