"""Reading a provider's request body: the door behind which foreign shapes stop."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, cast

from tokenbeat.testing.errors import MalformedModelRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

# What does not change what the model reads; a streamed request costs what the plain one costs.
_NOT_CONTENT = frozenset({"stream", "stream_options", "user", "metadata", "store", "background"})


def parse(raw: bytes) -> Json:
    """The body's JSON object.

    Raises:
        MalformedModelRequest: it is not JSON, or no object.
    """
    try:
        body: object = json.loads(raw)
    except ValueError as error:
        raise MalformedModelRequest(field="body", problem="not JSON") from error
    if not isinstance(body, dict):
        raise MalformedModelRequest(field="body", problem="not an object")
    return cast("Json", body)


def required_text(body: Json, name: str) -> str:
    """A string that must be there and not empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedModelRequest(field=name, problem="must be a string that is not empty")
    return value


def required_list(body: Json, name: str) -> list[Any]:
    """An array that must be there and not empty."""
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise MalformedModelRequest(field=name, problem="must be an array that is not empty")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON; members are checked later


def count(body: Json, name: str) -> int:
    """An optional integer >= 1; 1 where it is missing."""
    value = body.get(name)
    if value is None:
        return 1
    if type(value) is not int or value < 1:
        raise MalformedModelRequest(field=name, problem="must be an integer >= 1")
    return value


def flag(body: Json, name: str) -> bool:
    """An optional boolean; false where it is missing."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise MalformedModelRequest(field=name, problem="must be true or false")
    return value


def objects(values: object) -> list[Json]:
    """The objects of an array; nothing where there is none."""
    if not isinstance(values, list):
        return []
    return [cast("Json", one) for one in cast("list[object]", values) if isinstance(one, dict)]


def object_at(body: Mapping[str, Any], name: str) -> Json:
    """An optional object; an empty one where it is missing."""
    value = body.get(name)
    return cast("Json", value) if isinstance(value, dict) else {}


def text_at(body: Mapping[str, Any], name: str) -> str | None:
    """An optional string."""
    value = body.get(name)
    return value if isinstance(value, str) else None


def text_of(content: object) -> str:
    """All text within a message's content: a string, or content parts nested in any way."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, (text_of(one) for one in cast("list[object]", content))))
    if isinstance(content, dict):
        parts = cast("Json", content)
        return text_of(parts.get("text") or parts.get("content") or parts.get("output") or "")
    return ""


def characters(*contents: object) -> int:
    """Length of everything that the model reads."""
    return sum(len(json.dumps(content, ensure_ascii=False)) for content in contents if content)


def fingerprint(body: Json) -> int:
    """32 bits of the request's content."""
    content = {name: value for name, value in body.items() if name not in _NOT_CONTENT}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
