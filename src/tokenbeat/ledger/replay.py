"""Reading a journal back: the same records through the same code give the same books."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenbeat.ledger.accounts import Accounts
from tokenbeat.ledger.errors import JournalTooNew, MalformedRecord, NotAJournal
from tokenbeat.ledger.records import FORMAT_VERSION, Opened, Record, decode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A journal's content.

    Attributes:
        opened: Whose journal it is.
        accounts: The books after its records.
        revision: The last ordinal before the first that is missing; 0 without records.
        missing: Ordinals that no line has, as after a torn write.
        damaged: What is wrong with the lines that could not be read, by line number from 1.
    """

    opened: Opened
    accounts: Accounts
    revision: int
    missing: tuple[int, ...] = ()
    damaged: dict[int, str] = field(default_factory=dict[int, str])


def read_records(path: Path) -> tuple[Opened, list[Record], dict[int, str]]:
    """The journal's opening record, its records in file order, and its damaged lines.

    A last line without a newline is still being written, or was torn by a kill: it is no damage.

    Raises:
        NotAJournal: The file does not begin with an opening record.
        JournalTooNew: It is of a later format.
        OSError: It cannot be read.
    """
    lines = path.read_bytes().split(b"\n")
    try:
        opened = decode(lines[0])
    except MalformedRecord as error:
        raise NotAJournal(path=path) from error
    if not isinstance(opened, Opened):
        raise NotAJournal(path=path)
    if opened.version > FORMAT_VERSION:
        raise JournalTooNew(path=path, version=opened.version, newest=FORMAT_VERSION)
    records: list[Record] = []
    damaged: dict[int, str] = {}
    for number, line in enumerate(lines[1:-1], start=2):
        try:
            record = decode(line)
        except MalformedRecord as error:
            if line:
                damaged[number] = error.reason
            continue
        if not isinstance(record, Opened):
            records.append(record)
    return opened, records, damaged


def replay_records(records: Iterable[Record]) -> tuple[Accounts, int, tuple[int, ...]]:
    """Applies records in the order of their ordinals.

    Returns:
        The books, the last ordinal before the first hole, and the ordinals that are missing.
    """
    accounts = Accounts()
    by_ordinal = {record.ordinal: record for record in records}
    for ordinal in sorted(by_ordinal):
        accounts.apply(by_ordinal[ordinal])
    last = max(by_ordinal, default=0)
    missing = tuple(o for o in range(1, last + 1) if o not in by_ordinal)
    return accounts, (missing[0] - 1 if missing else last), missing


def replay(path: Path) -> Replayed:
    """Reads a journal file into books.

    Raises:
        NotAJournal: The file does not begin with an opening record.
        JournalTooNew: It is of a later format.
        OSError: It cannot be read.
    """
    opened, records, damaged = read_records(path)
    accounts, revision, missing = replay_records(records)
    return Replayed(
        opened=opened, accounts=accounts, revision=revision, missing=missing, damaged=damaged
    )
