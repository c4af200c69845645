"""What the other end's reply means. Only a 200 with our JSON acknowledges a heartbeat.

A middlebox's login page is 200 with HTML, a wrong URL is often 204 or 302, so nothing short of our
own answer is taken for one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final, cast

from tokenbeat.heartbeat.limits import BEAT_INTERVAL_MS, MAX_COUNT

_NS_PER_S: Final = 1_000_000_000
_LONGEST_WAIT_S: Final = BEAT_INTERVAL_MS[1] / 1_000
_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP reply as far as the sender looks at it."""

    status: int
    content_type: str = ""
    retry_after: str | None = None
    body: bytes = b""
    """At most the transport's bound; what comes after is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Our control plane has committed the beat and holds everything up to ``revision``."""

    revision: int
    nonce: str | None = None
    """The nonce that it stored last, where the beat's base was above its revision."""
    next_heartbeat_ms: int | None = None
    """When it wants the next beat: milliseconds, as it said."""


@dataclass(frozen=True, slots=True)
class WindowTaken:
    """204: an AgentSpec control plane has stored ``usage`` and nothing else."""


@dataclass(frozen=True, slots=True)
class Cloned:
    """409: another process beats under this incarnation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRefused:
    """422: one field keeps the whole beat from being stored."""

    field: str | None
    """None where the answer does not say which."""
    largest: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """413: smaller beats are wanted."""


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """401: this key is not, or no longer, good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """429 or 503: later, and how much later if the server says so."""

    status: int
    after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """5xx, or no complete answer: the beat may or may not have been stored."""

    status: int | None
    reason: str
    reached: bool = True
    """Whether the request can have reached the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misdirected:
    """Whatever answered, it did not take the beat: wrong URL, wrong rights, a proxy's page."""

    status: int
    reason: str


Answer = (
    Acknowledged
    | WindowTaken
    | Cloned
    | FieldRefused
    | TooLarge
    | KeyRefused
    | Busy
    | Failed
    | Misdirected
)


def read_answer(reply: Reply, *, now_wall_ns: int) -> Answer:  # noqa: PLR0911 one for each status
    """Say what a reply means.

    Args:
        reply: The reply.
        now_wall_ns: Wall time (nanoseconds), for a ``Retry-After`` that is a date.
    """
    match reply.status:
        case 200:
            return _acknowledgement(reply)
        case 204:
            return WindowTaken()
        case 401:
            return KeyRefused()
        case 409 if _text(_json(reply), "type").rstrip("/").endswith("clone"):
            return Cloned()
        case 413:
            return TooLarge()
        case 422:
            return _refused_field(reply)
        case 429 | 503:
            return Busy(status=reply.status, after_s=_retry_after_s(reply, now_wall_ns=now_wall_ns))
        case status if status >= 500:
            return Failed(status=status, reason=f"HTTP {status}")
        case status:
            return Misdirected(status=status, reason=_reason(reply))


def _acknowledgement(reply: Reply) -> Answer:
    body = _json(reply)
    revision = body.get("revision")
    if type(revision) is not int or not 0 <= revision <= MAX_COUNT:
        reason = f"HTTP 200 without a revision ({reply.content_type or 'no content type'})"
        return Misdirected(status=200, reason=reason)
    wanted_ms = body.get("nextHeartbeatMs")
    return Acknowledged(
        revision=revision,
        nonce=_text(body, "nonce") or None,
        next_heartbeat_ms=wanted_ms if type(wanted_ms) is int else None,
    )


def _refused_field(reply: Reply) -> FieldRefused:
    body = _json(reply)
    largest = body.get("largest")
    field = _text(body, "field")
    if not field:
        # FastAPI's own shape, as AgentSpec's server would answer: a list of places.
        field = _first_location(body.get("detail"))
    return FieldRefused(
        field=field or None,
        largest=largest if type(largest) is int and largest >= 0 else None,
        reason=_reason(reply),
    )


def _first_location(detail: object) -> str:
    if not isinstance(detail, list) or not detail:
        return ""
    first = cast("list[object]", detail)[0]
    if not isinstance(first, Mapping):
        return ""
    location = cast("Mapping[str, object]", first).get("loc")
    if not isinstance(location, list):
        return ""
    path = ""
    for step in cast("list[object]", location):
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "body":
            path += f".{step}"
    return path.lstrip(".")


def _retry_after_s(reply: Reply, *, now_wall_ns: int) -> float | None:
    text = (reply.retry_after or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    now = datetime.fromtimestamp(now_wall_ns / _NS_PER_S, tz=timezone.utc)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT_S)


def _reason(reply: Reply) -> str:
    """The server's own words, shortened, where it speaks problem+json or AgentSpec's shape."""
    body = _json(reply)
    told = [_text(body, name) for name in ("field", "detail", "title")]
    words = ": ".join(text for text in told if text)
    kind = reply.content_type.partition(";")[0] or "no content type"
    return f"HTTP {reply.status} ({words[:_SHOWN_CHARACTERS] or kind})"


def _json(reply: Reply) -> Mapping[str, object]:
    if "json" not in reply.content_type.lower():
        return {}
    try:
        body: object = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
