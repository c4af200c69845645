"""How the text of an environment variable is understood; standard library only.

A value that cannot be meant is named in the log once a process, and its default is used.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote, urlsplit

from tokenbeat.errors import TokenbeatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOGGER = logging.getLogger(__name__)

_SHORTEST_INTERVAL_MS: Final = 50
_LONGEST_INTERVAL_MS: Final = 600_000
_UNITS_MS: Final = {"": 1, "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_DURATION: Final = re.compile(r"(\d{1,12})\s*([a-z]*)", re.ASCII)
_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")

_USER_AND_PASSWORD: Final = re.compile(r"//[^/]*@")

_T = TypeVar("_T")
_named: set[tuple[str, str]] = set()


class UnfitValue(TokenbeatError):
    """A value that cannot be meant."""

    def __init__(self, *, must_be: str) -> None:
        super().__init__(f"must be {must_be}")
        self.must_be = must_be


class VariableReader:
    """Reads one variable after the other; a bad one is logged and its default taken.

    ``read(NAME, meaning, default=...)`` where ``meaning`` is one of the functions below; empty is
    unset. A ``secret`` is not shown in the log.
    """

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __call__(  # noqa: D102 told at the class
        self, name: str, meaning: Callable[[str], _T], *, default: _T, secret: bool = False
    ) -> _T:
        text = self._variables.get(name, "").strip()
        if not text:
            return default
        try:
            return meaning(text)
        except UnfitValue as unfit:
            _name_once(name, "(not shown)" if secret else text, must_be=unfit.must_be)
            return default

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words, in any case."""

        def meaning(text: str) -> str:
            if text.lower() not in choices:
                raise UnfitValue(must_be=" or ".join(choices))
            return text.lower()

        return self(name, meaning, default=default)


def _name_once(name: str, text: str, *, must_be: str) -> None:
    if (name, text) in _named:
        return
    _named.add((name, text))
    shown = _USER_AND_PASSWORD.sub("//(not shown)@", text)[:200]
    _LOGGER.warning("%s must be %s, not %r; its default is used", name, must_be, shown)


def boolean(text: str) -> bool:
    """True or false; else raises UnfitValue."""
    # OpenTelemetry takes "true" alone; "1" is what people write in containers.
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise UnfitValue(must_be="true or false")


def interval_ms(text: str) -> int:
    """Milliseconds, from 50 ms to 10 min; else raises UnfitValue."""
    found = _DURATION.fullmatch(text.lower())
    unit_ms = _UNITS_MS.get(found[2]) if found else None
    if found is None or unit_ms is None:
        raise UnfitValue(must_be="milliseconds, or a whole number with ms, s, m or h")
    told_ms = int(found[1]) * unit_ms
    if not _SHORTEST_INTERVAL_MS <= told_ms <= _LONGEST_INTERVAL_MS:
        raise UnfitValue(must_be="from 50 milliseconds to 10 minutes")
    return told_ms


def token_count(text: str) -> int:
    """Tokens, 1 to 2^63 - 1; else raises UnfitValue."""
    digits = text.replace("_", "")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:20]) < 2**63:
        raise UnfitValue(must_be="a whole number from 1 to 2^63 - 1")
    return int(digits)


def web_address(text: str) -> str:
    """An http or https address without a slash at its end; else raises UnfitValue."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # reading a port refuses one that is none
    except ValueError as error:
        raise UnfitValue(must_be="an http or https address") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise UnfitValue(must_be="an http or https address without query")
    if "@" in parts.netloc:
        raise UnfitValue(
            must_be="an address without user and password; the key has a variable of its own"
        )
    return text.rstrip("/")


def header_key(text: str) -> str:
    """A key that fits into a header; else raises UnfitValue."""
    if not _HEADER_SAFE.fullmatch(text):
        raise UnfitValue(must_be="one line of printable ASCII characters without spaces")
    return text


def file_path(text: str) -> Path | None:
    """A path, ``~`` being its user's home; else raises UnfitValue."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # pathlib's answer to the ~ of nobody
        raise UnfitValue(must_be="a path in a folder that exists") from error
    if "\0" in text:
        raise UnfitValue(must_be="a path")
    return path


def host_names(text: str) -> tuple[str, ...]:
    """Hosts in lower case; an address or a ``*`` raises UnfitValue."""
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if any("/" in host or "@" in host or host == "*" for host in hosts):
        raise UnfitValue(must_be="host names separated by commas")
    return hosts


def resource_attributes(text: str) -> dict[str, str]:
    """``key=value,key=value`` with percent-encoded values; what cannot be read is left out."""
    attributes: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if equals and value.strip():
            attributes[key.strip()] = unquote(value.strip())
    return attributes
