"""Reads the journals of this machine: what every incarnation counted, living or dead."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tokenbeat.ledger.errors import LedgerError
from tokenbeat.ledger.replay import read_records, replay_records
from tokenbeat.usage.counts import ITEMS, UNFINISHED, ZERO_COUNTS, Counts, add

if TYPE_CHECKING:
    from pathlib import Path

    from tokenbeat.ledger.accounts import Accounts
    from tokenbeat.ledger.records import Entry, Opened, Record
    from tokenbeat.usage.call import CellKey

_ONE_UNFINISHED: Final[Counts] = tuple(
    1 if index in {UNFINISHED, ITEMS} else 0 for index in range(len(ZERO_COUNTS))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """What the journals of one process or fork say.

    Attributes:
        opened: Whose they are.
        accounts: Its books. Of a living one up to the first record that is still being written.
        living: Whether the process is still there.
        cells: The cells; of a dead one with the calls that it left open or held.
        open: Calls under way; 0 for a dead one.
        revision: The last ordinal up to which nothing is missing.
        damaged_lines: Lines that could not be read.
        missing_records: Records that no line has.
    """

    opened: Opened
    accounts: Accounts
    living: bool
    cells: dict[CellKey, Counts]
    open: int
    revision: int
    damaged_lines: int
    missing_records: int


@dataclass(slots=True, kw_only=True)
class Spool:
    """What a folder of journals holds.

    Attributes:
        incarnations: Those that could be read.
        unreadable: What is wrong with the files that could not, by file.
    """

    incarnations: list[Incarnation] = field(default_factory=list["Incarnation"])
    unreadable: dict[Path, str] = field(default_factory=dict["Path", str])


def read_spool(folder: Path) -> Spool:
    """Reads ``<folder>/<service>/<incarnation>.<segment>.journal``; a missing folder is empty."""
    spool = Spool()
    segments: dict[tuple[Path, str], list[Path]] = {}
    for file in sorted(folder.glob("*/*.journal")):
        segments.setdefault((file.parent, file.name.partition(".")[0]), []).append(file)
    for files in segments.values():
        incarnation = _read(files, spool.unreadable)
        if incarnation is not None:
            spool.incarnations.append(incarnation)
    return spool


def read_journal(file: Path) -> Incarnation:
    """Reads one journal file.

    Raises:
        NotAJournal: It is something else.
        JournalTooNew: It is of a later format.
        OSError: It cannot be read.
    """
    living = _is_locked(file)
    opened, records, damaged = read_records(file)
    return _incarnation(opened, records, living=living, damaged_lines=len(damaged))


def _read(files: list[Path], unreadable: dict[Path, str]) -> Incarnation | None:
    opened: Opened | None = None
    records: list[Record] = []
    damaged_lines = 0
    # Asked before anything is read: who dies in between is read as living, with its calls open.
    living = False
    for file in files:
        try:
            if file.stat().st_size == 0:
                continue  # just being made; its owner must find it unlocked
            living = _is_locked(file) or living
            whose, some, damaged = read_records(file)
        except LedgerError as error:
            unreadable[file] = str(error).removeprefix(f"{file} ")
        except OSError as error:
            unreadable[file] = error.strerror or str(error)
        else:
            opened = opened or whose
            records += some
            damaged_lines += len(damaged)
    if opened is None:
        return None
    return _incarnation(opened, records, living=living, damaged_lines=damaged_lines)


def _incarnation(
    opened: Opened, records: list[Record], *, living: bool, damaged_lines: int
) -> Incarnation:
    if living:
        # Threads write in any order: past a gap, what is in it may be on its way.
        records = _without_what_is_past_a_gap(records)
    accounts, revision, missing = replay_records(records)
    cells = {key: counts for key, (counts, _) in accounts.cells.items()}
    if not living:
        for start in accounts.open_leaves():
            _enter(cells, start.entry, _ONE_UNFINISHED)
        for end in accounts.held.values():
            if end.entry is not None and end.counts is not None:
                _enter(cells, end.entry, end.counts)
    return Incarnation(
        opened=opened,
        accounts=accounts,
        living=living,
        cells=cells,
        open=accounts.open_calls if living else 0,
        revision=revision,
        damaged_lines=damaged_lines,
        missing_records=len(missing),
    )


def _enter(cells: dict[CellKey, Counts], entry: Entry, counts: Counts) -> None:
    cells[entry.key] = add(cells.get(entry.key, ZERO_COUNTS), counts)


def _without_what_is_past_a_gap(records: list[Record]) -> list[Record]:
    whole: list[Record] = []
    for record in sorted(records, key=lambda record: record.ordinal):
        if record.ordinal > len(whole) + 1:
            break
        whole.append(record)
    return whole


def _is_locked(file: Path) -> bool:
    """Whether the process that writes the file lives: it holds the file's lock until it ends."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
