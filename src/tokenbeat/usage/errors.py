"""Errors of the usage values."""

from __future__ import annotations

from tokenbeat.errors import TokenbeatError


class UsageError(TokenbeatError):
    """A usage value that cannot exist."""


class MalformedUsage(UsageError):
    """A count that is no exact, non-negative integer.

    Attributes:
        field: The field's name, such as ``input_tokens``.
        value: What was given.
    """

    def __init__(self, *, field: str, value: object) -> None:
        super().__init__(f"{field} must be a non-negative int or None, not {value!r}")
        self.field = field
        self.value = value


class ImpossibleUsage(UsageError):
    """A part that is greater than its whole.

    Attributes:
        part: The part's field name, such as ``cache_read_tokens``.
        part_tokens: Its count.
        whole: The whole's field name, such as ``input_tokens``.
        whole_tokens: Its count; None where the whole was not reported at all.
    """

    def __init__(
        self, *, part: str, part_tokens: int, whole: str, whole_tokens: int | None
    ) -> None:
        super().__init__(f"{part}={part_tokens} is more than {whole}={whole_tokens}")
        self.part = part
        self.part_tokens = part_tokens
        self.whole = whole
        self.whole_tokens = whole_tokens


class MalformedCaller(UsageError):
    """A caller step that cannot be read.

    Attributes:
        value: What was given.
    """

    def __init__(self, *, value: object) -> None:
        super().__init__(f"a caller step is 'type:name' or 'name', not {value!r}")
        self.value = value
