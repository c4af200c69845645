"""Keeps the API key out of everything that is said about a request."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

_REDACTED: Final = "[REDACTED]"
_SHOWN_CHARACTERS: Final = 300
_CAUSES_SHOWN: Final = 8


def redacted(text: str, *, key: str | None) -> str:
    """``text`` without the key, also where it stands URL-encoded or quoted in it."""
    if key:
        escaped = key.encode("unicode_escape").decode("ascii")
        shapes = {key, quote(key), quote(key, safe=""), quote_plus(key), repr(key)[1:-1], escaped}
        # The longest first: a short shape inside a long one would leave the rest standing.
        for shape in sorted(shapes, key=len, reverse=True):
            text = text.replace(shape, _REDACTED)
    return text


def described(error: BaseException, *, key: str | None) -> str:
    """An error and its causes in one line, without the key.

    The error itself must not be kept as a ``__cause__``: its text, its arguments and its request
    can all hold the key, and a log with traceback would print them.
    """
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < _CAUSES_SHOWN:
        text = redacted(str(seen), key=key)[:_SHOWN_CHARACTERS]
        parts.append(f"{type(seen).__name__}: {text}" if text else type(seen).__name__)
        seen = seen.__cause__ or seen.__context__
    return " <- ".join(parts)


def shown_url(url: str) -> str:
    """The URL without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
