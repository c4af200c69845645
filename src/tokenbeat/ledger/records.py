"""The records that change the books: the journal is these, one a line.

A record says what was *decided* (the cell after folding, the increases of a raise, the run and its
part), so that replaying it decides nothing. A line is ``<crc32 of the JSON, 8 hex digits> <JSON>``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zlib import crc32

from tokenbeat.ledger.errors import MalformedRecord
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import CACHED_INPUT, COUNT_FIELDS, FIRST_TOKEN, Counts

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
"""Of the journal. A later one is refused, an earlier one is read."""


class Entry(NamedTuple):
    """Where a call is counted: its cell, and its run's cell.

    Attributes:
        key: The cell, after folding.
        run: The run's id and part, or None.
        run_caller: The caller with its instances, for the run's cell.
    """

    key: CellKey
    run: tuple[str, int] | None
    run_caller: str


class Notes(NamedTuple):
    """What the books say about the quality of what was reported.

    Attributes:
        anomalies: Reasons, one for each fault.
        reconciliations: Reasons with the tokens that two reports disagree about.
        folded: Keys folded into ``other`` by this record.
    """

    anomalies: tuple[str, ...] = ()
    reconciliations: tuple[tuple[str, int], ...] = ()
    folded: int = 0


NO_NOTES = Notes()


class Opened(NamedTuple):
    """The journal's first record: whose it is and how it is written."""

    incarnation: str
    started_ns: int
    service: str
    version: int = FORMAT_VERSION


class Start(NamedTuple):
    """A report began: ``entry`` is where it would be entered should the process die now."""

    ordinal: int
    at_ns: int
    call: int
    source: str
    entry: Entry
    inside: int | None


class End(NamedTuple):
    """A report ended. ``counts`` are its cell's increments; None where it enters nothing.

    ``held`` counts are kept beside the cells until a second end of the same call releases them.
    """

    ordinal: int
    at_ns: int
    call: int
    entry: Entry | None
    counts: Counts | None
    held: bool = False
    notes: Notes = NO_NOTES


class Link(NamedTuple):
    """A report turned out to stand inside another, which is an envelope from then on."""

    ordinal: int
    at_ns: int
    call: int
    inside: int


class Raise(NamedTuple):
    """An entered call rose, or there was only something to note (no entry)."""

    ordinal: int
    at_ns: int
    entry: Entry | None
    counts: Counts | None
    notes: Notes = NO_NOTES


class RunChange(NamedTuple):
    """A run opened, closed or changed what is known of it; None keeps what stands."""

    ordinal: int
    at_ns: int
    run_id: str
    part: int
    status: str
    thread_id: str | None = None
    root_agent: str | None = None
    user: str | None = None
    labels: tuple[tuple[str, str], ...] | None = None


Record = Start | End | Link | Raise | RunChange

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_COUNT_KEYS = tuple(f'"{name}":' for name in COUNT_FIELDS)
_TOKEN_KEYS = _COUNT_KEYS[FIRST_TOKEN:CACHED_INPUT]
_COUNT_INDEX = {name: index for index, name in enumerate(COUNT_FIELDS)}


# An agent has few cells and many calls: the text of an entry is made once.
@lru_cache(maxsize=4_096)
def entry_json(entry: Entry | None) -> str:
    """Where a call is entered, as it stands in a line."""
    return "null" if entry is None else _encode([list(entry.key), entry.run, entry.run_caller])


@lru_cache(maxsize=64)
def source_json(source: str) -> str:
    """A source's name, as it stands in a line."""
    return _encode(source)


def counts_json(counts: Counts | None) -> str:
    """The counts that are not 0, as they stand in a line."""
    if counts is None:
        return "null"
    named = [f"{name}{count}" for name, count in zip(_COUNT_KEYS, counts, strict=True) if count]
    return "{" + ",".join(named) + "}"


def known_call_json(tokens: Counts) -> str:
    """The same of a call that ended well with known usage, of which only the tokens vary.

    Args:
        tokens: In the order of `TOKEN_FIELDS`.
    """
    named = [f",{name}{count}" for name, count in zip(_TOKEN_KEYS, tokens, strict=True) if count]
    return '{"ok":1,"with_usage":1,"items":1' + "".join(named) + "}"


def _notes_json(notes: Notes) -> str:
    return "" if notes is NO_NOTES else f',"notes":{_encode(list(notes))}'


def encode(record: Record | Opened) -> bytes:
    """The journal line of a record, its newline included."""
    text: str
    if isinstance(record, End):
        held = ',"held":true' if record.held else ""
        text = (
            f'{{"o":{record.ordinal},"t":"end","at":{record.at_ns},"call":{record.call}'
            f',"entry":{entry_json(record.entry)},"n":{counts_json(record.counts)}'
            f"{held}{_notes_json(record.notes)}}}"
        )
    elif isinstance(record, Start):
        text = (
            f'{{"o":{record.ordinal},"t":"start","at":{record.at_ns},"call":{record.call}'
            f',"source":{source_json(record.source)},"entry":{entry_json(record.entry)}'
            f',"inside":{"null" if record.inside is None else record.inside}}}'
        )
    elif isinstance(record, Raise):
        text = (
            f'{{"o":{record.ordinal},"t":"raise","at":{record.at_ns}'
            f',"entry":{entry_json(record.entry)},"n":{counts_json(record.counts)}'
            f"{_notes_json(record.notes)}}}"
        )
    elif isinstance(record, Link):
        text = _encode(
            {"o": record.ordinal, "t": "link", "at": record.at_ns, "call": record.call,
             "inside": record.inside}
        )  # fmt: skip
    elif isinstance(record, RunChange):
        text = _encode({"t": "run", **_run_fields(record)})
    else:
        text = _encode({"o": 0, "t": "open", **record._asdict()})
    body = text.encode("utf-8", "surrogatepass")
    return b"%08x %b\n" % (crc32(body), body)


def _run_fields(record: RunChange) -> dict[str, object]:
    fields = {
        "o": record.ordinal, "at": record.at_ns, "run": record.run_id, "part": record.part,
        "status": record.status, "thread": record.thread_id, "rootAgent": record.root_agent,
        "user": record.user, "labels": None if record.labels is None else dict(record.labels),
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def decode(line: bytes) -> Record | Opened:
    """The record of a journal line.

    Raises:
        MalformedRecord: The line is torn, damaged, or of no kind that is known.
    """
    checksum, space, body = line.rstrip(b"\n").partition(b" ")
    if not space or len(checksum) != 8:
        raise MalformedRecord(reason="no checksum")
    if checksum != b"%08x" % crc32(body):
        raise MalformedRecord(reason="checksum does not match")
    try:
        fields: dict[str, Any] = json.loads(body)
        return _record(fields)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MalformedRecord(
            reason=f"{type(error).__name__} in a line of known checksum"
        ) from error


def _record(fields: dict[str, Any]) -> Record | Opened:
    kind = fields["t"]
    if kind == "open":
        return Opened(
            fields["incarnation"], fields["started_ns"], fields["service"], fields["version"]
        )
    ordinal, at_ns = fields["o"], fields["at"]
    if kind == "start":
        entry = cast("Entry", _entry(fields["entry"]))
        return Start(ordinal, at_ns, fields["call"], fields["source"], entry, fields["inside"])
    if kind == "end":
        return End(
            ordinal, at_ns, fields["call"], _entry(fields["entry"]), _counts(fields["n"]),
            fields.get("held", False), _notes(fields),
        )  # fmt: skip
    if kind == "raise":
        return Raise(ordinal, at_ns, _entry(fields["entry"]), _counts(fields["n"]), _notes(fields))
    if kind == "link":
        return Link(ordinal, at_ns, fields["call"], fields["inside"])
    if kind == "run":
        labels: Mapping[str, str] | None = fields.get("labels")
        return RunChange(
            ordinal, at_ns, fields["run"], fields["part"], fields["status"], fields.get("thread"),
            fields.get("rootAgent"), fields.get("user"),
            None if labels is None else tuple(labels.items()),
        )  # fmt: skip
    raise MalformedRecord(reason=f"unknown kind {kind!r}")


def _entry(value: list[Any] | None) -> Entry | None:
    if value is None:
        return None
    key, run, run_caller = value
    return Entry(CellKey(*key), None if run is None else (run[0], run[1]), run_caller)


def _counts(value: Mapping[str, int] | None) -> Counts | None:
    if value is None:
        return None
    counts = [0] * len(COUNT_FIELDS)
    for name, count in value.items():
        counts[_COUNT_INDEX[name]] = count
    return tuple(counts)


def _notes(fields: Mapping[str, Any]) -> Notes:
    if "notes" not in fields:
        return NO_NOTES
    anomalies, reconciliations, folded = fields["notes"]
    return Notes(tuple(anomalies), tuple((r[0], r[1]) for r in reconciliations), folded)
