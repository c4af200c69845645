"""The API key: read again after a 401, never sent again once refused, never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TRY_AGAIN_NS: Final = 3_600 * 1_000_000_000
"""A 401 can come from something in between: after an hour the same key is tried once more."""


def key_reader(*, file: Path | None, key: str | None) -> Callable[[], str | None]:
    """Where the key comes from: the file comes before the environment.

    Args:
        file: ``TOKENBEAT_API_KEY_FILE``, read at each call; white space around the key goes.
        key: ``TOKENBEAT_API_KEY``.
    """

    def read() -> str | None:
        if file is not None:
            try:
                text = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                text = ""
            if text:
                return text
        return key or None

    return read


class Keys:
    """The key in use.

    Args:
        read: Reads the key anew; None where there is none.
    """

    def __init__(self, read: Callable[[], str | None]) -> None:
        self._read = read
        self._key: str | None = None
        self._refused: str | None = None
        self._refused_ns: int | None = None
        self._loaded = False

    def __repr__(self) -> str:
        return "Keys(…)"

    def current(self) -> str | None:
        """The key to send, None where there is none."""
        if not self._loaded:
            self._key = self._read()
            self._loaded = True
        return self._key

    def refuse(self, *, now_ns: int) -> bool:
        """The server answered 401: stop using the key and look for another one.

        Args:
            now_ns: Monotonic time: nanoseconds.

        Returns:
            Whether another one is there already.
        """
        self._refused = self._key
        self._refused_ns = now_ns
        self._key = self._read()
        return self._key is not None and self._key != self._refused

    def usable(self, *, now_ns: int) -> bool:
        """Whether a request may go: not with a key that was refused (monotonic nanoseconds)."""
        key = self.current()
        if self._refused_ns is None or (key is not None and key != self._refused):
            return True
        self._key = self._read()
        if self._key is not None and self._key != self._refused:
            return True
        if now_ns - self._refused_ns >= _TRY_AGAIN_NS:
            self._refused_ns = now_ns
            return True
        return False
