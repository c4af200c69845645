"""Errors of the ledger and its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.errors import TokenbeatError

if TYPE_CHECKING:
    from pathlib import Path


class LedgerError(TokenbeatError):
    """Something is wrong with the books."""


class MalformedRecord(LedgerError):
    """A journal line that is torn, damaged or no record.

    Attributes:
        reason: What is wrong with it, in a few words.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"not a journal record: {reason}")
        self.reason = reason


class JournalTooNew(LedgerError):
    """A journal of a later format than this version reads.

    Attributes:
        path: The file.
        version: Its format.
        newest: The latest format that is read here.
    """

    def __init__(self, *, path: Path, version: int, newest: int) -> None:
        super().__init__(f"{path} has journal format {version}; this version reads up to {newest}")
        self.path = path
        self.version = version
        self.newest = newest


class NotAJournal(LedgerError):
    """A file without a journal's opening record.

    Attributes:
        path: The file.
    """

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} does not begin with a journal's opening record")
        self.path = path
