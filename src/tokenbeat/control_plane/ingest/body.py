"""Request bodies: read up to a bound, decoded, and free of what no database can keep."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, NoReturn, cast

from tokenbeat.control_plane.ingest.errors import BodyNotJson, BodyTooLarge, BodyUndecodable

if TYPE_CHECKING:
    from fastapi import Request

_MOST_DEEP: Final = 64
_MOST_DIGITS: Final = 40
_UNKEEPABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_JSON: Final = "application/json"


async def read_json_object(request: Request, *, most_bytes: int) -> dict[str, object]:
    """The JSON object in a request's body.

    Checked in this order: the declared length, the content's type and encoding, the length as it
    arrives (chunked too: reading stops at the bound), the JSON, and every text and number in it.

    Args:
        request: Whose body is still unread.
        most_bytes: How many bytes it may have.

    Raises:
        BodyTooLarge: It has more.
        BodyNotJson: It is of another type, or compressed.
        BodyUndecodable: It is no JSON object, or holds NaN, Infinity, a number too large for any
            purpose, a NUL or half a surrogate pair, or is nested too deeply.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < _MOST_DIGITS and int(declared) > most_bytes:
        raise BodyTooLarge(most_bytes=most_bytes)
    _check_type(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise BodyTooLarge(most_bytes=most_bytes)
    return decode_object(bytes(body))


def decode_object(body: bytes) -> dict[str, object]:
    """The JSON object in some bytes; see `read_json_object`.

    Raises:
        BodyUndecodable: It holds none.
    """
    try:
        decoded: object = json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_small,
        )
    except UnicodeDecodeError as error:
        raise BodyUndecodable(field="body", reason="must be UTF-8") from error
    except json.JSONDecodeError as error:
        reason = f"must be JSON ({error.msg} at character {error.pos})"
        raise BodyUndecodable(field="body", reason=reason) from error
    except RecursionError as error:
        raise BodyUndecodable(field="body", reason="is nested too deeply") from error
    if not isinstance(decoded, dict):
        raise BodyUndecodable(field="body", reason="must be a JSON object")
    members = cast("dict[str, object]", decoded)
    _check_keepable(members)
    return members


def _check_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _JSON:
        raise BodyNotJson(header="Content-Type", must_be=_JSON)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BodyNotJson(header="Content-Encoding", must_be="absent: compression is not taken")


def _refuse_constant(name: str) -> NoReturn:
    raise BodyUndecodable(field="body", reason=f"must not hold {name}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyUndecodable(field="body", reason="must not hold a number beyond all bounds")
    return number


def _small(text: str) -> int:
    # Python itself refuses to read more than 4,300 digits, with an error of its own.
    if len(text) > _MOST_DIGITS:
        raise BodyUndecodable(field="body", reason="must not hold a number beyond all bounds")
    return int(text)


def _check_keepable(members: dict[str, object]) -> None:
    """Walk the whole tree without recursion: its depth is the sender's choice."""
    left: list[tuple[str, int, object]] = [("", 0, members)]
    while left:
        path, depth, value = left.pop()
        if depth > _MOST_DEEP:
            raise BodyUndecodable(field=path, reason="is nested too deeply")
        if isinstance(value, str):
            _check_text(value, field=path)
        elif isinstance(value, dict):
            for key, inner in cast("dict[str, object]", value).items():
                _check_text(key, field=path or "body")
                left.append((f"{path}.{key}" if path else key, depth + 1, inner))
        elif isinstance(value, list):
            items = cast("list[object]", value)
            left.extend((f"{path}[{i}]", depth + 1, item) for i, item in enumerate(items))


def _check_text(text: str, *, field: str) -> None:
    if _UNKEEPABLE.search(text):
        raise BodyUndecodable(field=field, reason="must not hold NUL or half a surrogate pair")
