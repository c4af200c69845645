"""Which part of time a report is about.

The tables know minutes: a bucket is named by its end and holds what happened in the minute before.
So ``from`` is taken down and ``to`` up to a full minute, and a report says which times it used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from tokenbeat.control_plane.report.errors import BadParameter

BucketSize = Literal["minute", "hour", "day"]
BUCKET_MINUTES: Final[dict[BucketSize, int]] = {"minute": 1, "hour": 60, "day": 1_440}
BUCKETS_UNASKED: Final[dict[BucketSize, int]] = {"minute": 60, "hour": 48, "day": 30}
"""How many buckets a series shows where ``from`` is not given."""
MOST_BUCKETS: Final = 3_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MINUTE: Final = timedelta(minutes=1)
_YEARS: Final = (1970, 2199)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Minutes after ``after`` up to and including ``until``; None is no bound."""

    after: int | None = None
    """In minutes since 1970 (UTC)."""
    until: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether buckets are needed, or what the processes counted in all will do."""
        return self.after is not None or self.until is not None


ALWAYS: Final = Period()


def moment(text: str | None, *, parameter: str) -> datetime | None:
    """A time of a query parameter: ISO 8601 with an offset.

    Raises:
        BadParameter: It is no time, has no offset, or is outside 1970 to 2199.
    """
    if text is None:
        return None
    # A "+" in an address that nobody escaped arrives as a space.
    written = text.replace("Z", "+00:00").replace("z", "+00:00").replace(" ", "+")
    try:
        at = datetime.fromisoformat(_six_digits(written))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadParameter(
            parameter=parameter, reason="is no time with an offset, such as 2026-04-01T12:00:00Z"
        )
    if not _YEARS[0] < at.year <= _YEARS[1]:
        raise BadParameter(parameter=parameter, reason="is not between 1971 and 2199")
    return at.astimezone(timezone.utc)


def _six_digits(written: str) -> str:
    """Python 3.10 reads fractions of exactly three or six digits."""
    head, dot, tail = written.partition(".")
    if not dot:
        return written
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits].ljust(6, '0')[:6]}{tail[digits:]}"


def read_period(*, start: str | None, end: str | None) -> Period:
    """The period of ``from=…&to=…``.

    Raises:
        BadParameter: One is no time, or they are the wrong way round.
    """
    first = moment(start, parameter="from")
    last = moment(end, parameter="to")
    period = Period(
        after=None if first is None else (first - _EPOCH) // _MINUTE,
        until=None if last is None else -((_EPOCH - last) // _MINUTE),
    )
    if period.after is not None and period.until is not None and period.after > period.until:
        raise BadParameter(parameter="to", reason="is before from")
    return period


def read_series_period(
    *, size: BucketSize, start: str | None, end: str | None, now: datetime
) -> Period:
    """The period of a series, both ends known and whole buckets.

    Raises:
        BadParameter: As `read_period`; or there would be too many buckets.
    """
    asked = read_period(start=start, end=end)
    minutes = BUCKET_MINUTES[size]
    until = asked.until if asked.until is not None else (now - _EPOCH) // _MINUTE + 1
    until = -(-until // minutes) * minutes
    after = asked.after if asked.after is not None else until - BUCKETS_UNASKED[size] * minutes
    after = after // minutes * minutes
    if until - after > MOST_BUCKETS * minutes:
        raise BadParameter(
            parameter="from", reason=f"more than {MOST_BUCKETS:,} buckets of a {size} each"
        )
    return Period(after=after, until=max(until, after))


def minute_end(minute: int) -> datetime:
    """The moment at which a minute's bucket ends."""
    return _EPOCH + minute * _MINUTE


def iso(at: datetime | None) -> str | None:
    """A moment as JSON shows it: UTC, milliseconds, ``Z``."""
    if at is None:
        return None
    return f"{at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
