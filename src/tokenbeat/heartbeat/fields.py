"""Strict reading of foreign JSON: every refusal names the exact field.

``null`` where a name, an object, a list or a flag can be absent means that it is; a number is never
``null``. A bool is no int, and a float is none either, also ``1.0``: JSON readers that go through a
double have lost digits above 2^53 by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, cast

from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.heartbeat.limits import MAX_COUNT, NAME_CHARACTERS
from tokenbeat.heartbeat.names import FORBIDDEN
from tokenbeat.heartbeat.times import from_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = "must be an integer"
_SHOWN_CHARACTERS = 64
_PLAIN_KEY = re.compile(r"[\w-]+")


def check_count(value: object, *, field: str, largest: int = MAX_COUNT) -> int:
    """``value`` as an exact int from 0 to ``largest``.

    Raises:
        MessageRefused: It is something else; the field and, if too large, the limit are named.
    """
    if type(value) is not int:
        raise MessageRefused(field=field, reason=_NUMBER)
    if value < 0:
        raise MessageRefused(field=field, reason="must not be negative")
    if value > largest:
        raise MessageRefused(field=field, reason=f"must be at most {largest}", largest=largest)
    return value


def key_path(path: str, key: str) -> str:
    """The path of a key that a sender chose freely, shortened and quoted where needed."""
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _SHOWN_CHARACTERS:
        return f"{path}.{key}"
    shown = FORBIDDEN.sub("\ufffd", key[:_SHOWN_CHARACTERS])
    return f'{path}["{shown}"]'


class Fields:
    """One JSON object and where it stands in the message.

    Args:
        raw: The object.
        path: Its place, as ``tokenbeat.cuts[0]``; empty for the message itself.
    """

    __slots__ = ("_path", "raw")

    def __init__(self, raw: Mapping[str, object], *, path: str = "") -> None:
        self.raw = raw
        self._path = path

    def path(self, name: str) -> str:
        """The place of one of its fields."""
        return f"{self._path}.{name}" if self._path else name

    def refuse(self, name: str, *, reason: str) -> NoReturn:
        """Refuse one of its fields."""
        raise MessageRefused(field=self.path(name), reason=reason)

    def present(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.raw.get(name) is not None

    def require(self, name: str) -> object:
        """The field's value, which must be there."""
        value = self.raw.get(name)
        if value is None:
            self.refuse(name, reason="is required")
        return value

    def inner(self, name: str) -> Fields:
        """A required object."""
        value = self.require(name)
        if not isinstance(value, Mapping):
            self.refuse(name, reason="must be an object")
        return Fields(cast("Mapping[str, object]", value), path=self.path(name))

    def objects(self, name: str, *, most: int) -> Iterator[Fields]:
        """The objects of an array, none where it is absent."""
        for index, item in enumerate(self.items(name, most=most)):
            path = f"{self.path(name)}[{index}]"
            if not isinstance(item, Mapping):
                raise MessageRefused(field=path, reason="must be an object")
            yield Fields(cast("Mapping[str, object]", item), path=path)

    def items(self, name: str, *, most: int) -> list[object]:
        """An array of at most ``most`` items, empty where it is absent."""
        value = self.raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, reason="must be an array")
        items = cast("list[object]", value)
        if len(items) > most:
            reason = f"must have at most {most} items"
            raise MessageRefused(field=self.path(name), reason=reason, largest=most)
        return items

    def count(self, name: str, *, largest: int = MAX_COUNT, default: int | None = None) -> int:
        """An exact int from 0 to ``largest``; required unless there is a default."""
        if default is not None and name not in self.raw:
            return default
        if name not in self.raw:
            self.refuse(name, reason="is required")
        return check_count(self.raw[name], field=self.path(name), largest=largest)

    def flag(self, name: str) -> bool:
        """A bool, False where it is absent."""
        value = self.raw.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.refuse(name, reason="must be true or false")
        return value

    def text(self, name: str, *, characters: int = NAME_CHARACTERS) -> str:
        """A required name of 1 to ``characters`` characters."""
        return self._checked_text(name, self.require(name), characters=characters)

    def optional_text(self, name: str, *, characters: int = NAME_CHARACTERS) -> str | None:
        """The same, or None where it is absent."""
        value = self.raw.get(name)
        return None if value is None else self._checked_text(name, value, characters=characters)

    def matching(self, name: str, *, pattern: re.Pattern[str], reason: str) -> str:
        """A required text that matches a pattern as a whole."""
        value = self.require(name)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.refuse(name, reason=reason)
        return value

    def choice(self, name: str, *, of: tuple[str, ...], default: str | None = None) -> str:
        """One of some words; required unless there is a default."""
        if default is not None and not self.present(name):
            return default
        value = self.require(name)
        if not isinstance(value, str) or value not in of:
            self.refuse(name, reason=f"must be one of {', '.join(of)}")
        return value

    def time_ns(self, name: str) -> int:
        """A required time."""
        value = self.require(name)
        at_ns = from_wire(value) if isinstance(value, str) else None
        if at_ns is None:
            self.refuse(name, reason="must be a time like 2026-04-01T00:00:00.000Z")
        return at_ns

    def optional_time_ns(self, name: str) -> int | None:
        """The same, or None where it is absent."""
        return self.time_ns(name) if self.present(name) else None

    def counts_by_name(self, name: str, *, most: int) -> dict[str, int]:
        """An object of counts under names that the sender chose, empty where it is absent."""
        return {
            key: check_count(value, field=key_path(self.path(name), key))
            for key, value in self._entries(name, most=most)
        }

    def texts_by_name(self, name: str, *, most: int, characters: int) -> dict[str, str]:
        """An object of texts (which can be empty) under names that the sender chose."""
        found: dict[str, str] = {}
        for key, value in self._entries(name, most=most):
            fits = isinstance(value, str) and len(value) <= characters
            if not fits or FORBIDDEN.search(cast("str", value)):
                reason = f"must be a text of at most {characters} printable characters"
                raise MessageRefused(field=key_path(self.path(name), key), reason=reason)
            found[key] = cast("str", value)
        return found

    def _entries(self, name: str, *, most: int) -> Iterator[tuple[str, object]]:
        if not self.present(name):
            return
        entries = self.inner(name).raw
        if len(entries) > most:
            reason = f"must have at most {most} entries"
            raise MessageRefused(field=self.path(name), reason=reason, largest=most)
        for key, value in entries.items():
            if not 1 <= len(key) <= NAME_CHARACTERS or FORBIDDEN.search(key):
                reason = f"must be a name of 1 to {NAME_CHARACTERS} printable characters"
                raise MessageRefused(field=key_path(self.path(name), key), reason=reason)
            yield key, value

    def _checked_text(self, name: str, value: object, *, characters: int) -> str:
        if not isinstance(value, str):
            self.refuse(name, reason="must be a text")
        if not value:
            self.refuse(name, reason="must not be empty")
        if len(value) > characters:
            reason = f"must have at most {characters} characters"
            raise MessageRefused(field=self.path(name), reason=reason, largest=characters)
        if FORBIDDEN.search(value):
            self.refuse(name, reason="must have no control characters")
        return value
