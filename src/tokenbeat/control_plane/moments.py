"""Times: nanoseconds on the wire, aware datetimes in the database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(at_ns: int) -> datetime:
    """Nanoseconds since 1970 as an aware UTC datetime; fractions of a microsecond are cut off."""
    return _EPOCH + timedelta(microseconds=at_ns // 1_000)


def at_ns(moment: datetime) -> int:
    """The way back."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
