"""OpenAI embeddings: ``POST /v1/embeddings``. There is no output; total is input.

Source: OpenAI API reference, embeddings.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from typing import TYPE_CHECKING

from tokenbeat.testing.asked import Asked
from tokenbeat.testing.openai_completions import inputs_at
from tokenbeat.testing.openai_wire import openai_error, openai_error_event, tag_of
from tokenbeat.testing.request_body import (
    characters,
    count,
    fingerprint,
    required_text,
    text_at,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenbeat.testing.answer import Failure
    from tokenbeat.testing.asked import Api
    from tokenbeat.testing.reply import Event, Reply
    from tokenbeat.testing.request_body import Json

_DIMENSIONS = 8


class OpenAIEmbeddings:
    """The wire format of embeddings."""

    api: Api = "openai.embeddings"
    id_prefix = "emb_"  # for the bill alone: this API gives its answers no id
    call_id_prefix = "call_"
    request_id_header = "x-request-id"

    def read(self, body: Json, *, headers: Mapping[str, str]) -> Asked:
        """What the client asks for; raises ``MalformedModelRequest``."""
        inputs = inputs_at(body, "input")
        if body.get("dimensions") is not None:
            count(body, "dimensions")
        return Asked(
            api=self.api,
            operation="embeddings",
            model=required_text(body, "model"),
            stream=False,
            include_usage=True,
            continuous_usage=False,
            choices=1,
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
        """The whole usage in OpenAI's words."""
        return {
            "prompt_tokens": reply.usage.input_tokens,
            "total_tokens": reply.usage.total_tokens,
        }

    def whole(self, reply: Reply) -> Json:
        """The body of the answer: a vector for each input, the same for equal inputs."""
        size = reply.body.get("dimensions") or _DIMENSIONS
        packed = reply.body.get("encoding_format") == "base64"
        data: list[Json] = []
        for index, one in enumerate(inputs_at(reply.body, "input")):
            vector = _vector(one, size=size)
            data.append(
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _packed(vector) if packed else vector,
                }
            )
        told = {"usage": reply.sent(self.reported(reply))} if reply.answer.tells_usage else {}
        return {"object": "list", "data": data, "model": reply.model, **told}

    def events(self, reply: Reply) -> Iterator[Event]:
        """Nothing: embeddings do not stream."""
        del reply
        return iter(())

    def error(self, failure: Failure, *, request_id: str) -> Json:
        """OpenAI's error body."""
        return openai_error(failure, request_id=request_id)

    def error_event(self, failure: Failure, *, request_id: str) -> Event:
        """An error in a stream; embeddings have none."""
        return openai_error_event(failure, request_id=request_id)


def _vector(one: object, *, size: int) -> list[float]:
    chance = random.Random(zlib.crc32(json.dumps(one).encode()))  # noqa: S311 - repeatable
    return [chance.uniform(-1.0, 1.0) for _ in range(size)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
