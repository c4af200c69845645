"""Times on the wire: ISO 8601, UTC, milliseconds, ``Z``.

Example:
    ``to_wire(1_775_001_600_123_456_789)`` is ``"2026-04-01T00:00:00.123Z"``, and
    ``from_wire`` of that is ``1_775_001_600_123_000_000``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

NS_PER_MS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST_MS: Final = 7_258_118_399_999  # 2199-12-31T23:59:59.999Z; in ns it still fits 64 bits

TIME_PATTERN: Final = (
    "^(19[7-9][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
)
"""What a time looks like, as the JSON Schema says it. The 31st of February passes it; the parser
refuses that too."""

_SHAPE: Final = re.compile(TIME_PATTERN)


def to_wire(at_ns: int) -> str:
    """A moment as text. Fractions of a millisecond are cut off.

    Args:
        at_ns: Nanoseconds since 1970 (UTC). What lies outside 1970 to 2199 (a clock that was never
            set) is moved to the nearest moment inside.
    """
    at_ms = min(max(at_ns // NS_PER_MS, 0), _LATEST_MS)
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def from_wire(text: str) -> int | None:
    """Nanoseconds since 1970, or None where the text is no such time."""
    if len(text) != len("2026-04-01T00:00:00.000Z") or _SHAPE.match(text) is None:
        return None
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1) * NS_PER_MS


def foreign_time_ns(text: str) -> int | None:
    """The same for other projects' times: any ISO 8601 with an offset, microseconds or none.

    Source: AgentSpec's Python ledger writes ``2026-04-01T00:00:00.000000+00:00``.
    """
    try:
        moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    return since_ns if since_ns >= 0 else None
