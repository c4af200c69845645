"""How large a message may be: 64 KiB, less after a 413, and in steps back up."""

from __future__ import annotations

from typing import Final

from tokenbeat.heartbeat.limits import MESSAGE_BYTES

_SMALLEST_BYTES: Final = 2_048
_BEATS_BEFORE_GROWING: Final = 20


class SizeLimit:
    """The limit in force."""

    def __init__(self) -> None:
        self.message_bytes = MESSAGE_BYTES
        """The largest message that is sent now, in bytes."""
        self._beats = 0

    def shrink(self, refused_bytes: int) -> bool:
        """A message of that size was too large.

        Returns:
            Whether the limit is lower now; False where it cannot become lower.
        """
        before = self.message_bytes
        self.message_bytes = max(min(before, refused_bytes) // 2, _SMALLEST_BYTES)
        self._beats = 0
        return self.message_bytes < before

    def accepted(self) -> None:
        """A message was taken: after twenty, twice the size is tried again."""
        self._beats += 1
        if self.message_bytes < MESSAGE_BYTES and self._beats >= _BEATS_BEFORE_GROWING:
            self.message_bytes = min(self.message_bytes * 2, MESSAGE_BYTES)
            self._beats = 0
