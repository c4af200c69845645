"""The root of every error that Tokenbeat raises, and the tree of them.

    TokenbeatError
    ├── MissingExtra               an optional part was asked for and is not installed
    ├── TimeRunsForward            clock: advanced by a negative duration
    (each folder draws its branch in its own ``errors.py``)

An error is a type with fields; its message is made in its class. Errors of other packages do not
cross a folder: they stand as the ``__cause__``. Domain errors know no HTTP status.
"""

from __future__ import annotations

from typing import Any


class TokenbeatError(Exception):
    """Something that Tokenbeat can name went wrong.

    Catch this to catch all of ours and nothing else. A subclass takes its fields as keyword
    arguments, keeps them as attributes and hands the finished message to this class.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields: keyword-only constructors otherwise break in a process pool."""
        return _restore, (type(self), self.args, dict(self.__dict__))


class MissingExtra(TokenbeatError):
    """Something was asked for that comes with an extra of this package, which is not installed.

    Raised at the door (a command, a factory), never while importing, from the ``ImportError``.

    Args:
        door: What was asked for, as the user wrote it: ``tokenbeat serve``.
        extra: The extra that brings it: ``server``.
    """

    def __init__(self, *, door: str, extra: str) -> None:
        super().__init__(f"{door} needs more packages: pip install 'tokenbeat[{extra}]'")
        self.door = door
        self.extra = extra


def _restore(
    kind: type[TokenbeatError], args: tuple[Any, ...], fields: dict[str, Any]
) -> TokenbeatError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
