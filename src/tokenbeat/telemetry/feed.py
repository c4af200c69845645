"""Feeds the growth of one incarnation's books into counters.

Each count is fed as the difference to what was fed before, and what was fed is noted *before* the
SDK is told: an error in between loses one difference and never adds one twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tokenbeat import semconv
from tokenbeat.telemetry.attributes import cell_attributes
from tokenbeat.usage import counts as c
from tokenbeat.usage.call import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.ledger.snapshot import BookCounts, Snapshot
    from tokenbeat.telemetry.attributes import Attributes, AttributeValue
    from tokenbeat.telemetry.instruments import GuardedCounter
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts


class _Slot(NamedTuple):
    """One series of a cell: the instrument, and what the cell's attributes do not say."""

    counter: str
    extra: dict[str, AttributeValue]


_UNKNOWN: Final[dict[str, AttributeValue]] = {semconv.TOKEN_MODALITY: "unknown"}

_SLOTS: Final[tuple[_Slot, ...]] = (
    _Slot(semconv.INFERENCE_INPUT_TOKENS, _UNKNOWN),
    _Slot(semconv.INFERENCE_OUTPUT_TOKENS, _UNKNOWN),
    *(
        _Slot(counter, {semconv.TOKEN_MODALITY: modality})
        for counter in (semconv.INFERENCE_INPUT_TOKENS, semconv.INFERENCE_OUTPUT_TOKENS)
        for modality in ("text", "audio", "image")
    ),
    _Slot(semconv.INFERENCE_CACHE_READ_TOKENS, _UNKNOWN),
    _Slot(semconv.INFERENCE_CACHE_WRITE_TOKENS, _UNKNOWN),
    _Slot(semconv.INFERENCE_REASONING_TOKENS, _UNKNOWN),
    *(_Slot(semconv.CALLS, {semconv.OUTCOME: outcome}) for outcome in OUTCOMES),
    _Slot(semconv.CALLS_WITH_USAGE, {}),
    _Slot(semconv.CALLS_CACHED, {}),
    _Slot(semconv.CALLS_ATTEMPTS, {}),
    _Slot(semconv.UNCLASSIFIED_TOKENS, {}),
    *(
        _Slot(semconv.CACHED_RESPONSE_TOKENS, {semconv.TOKEN_TYPE: token_type})
        for token_type in ("input", "output", "unclassified")
    ),
)
"""The series of a cell, in the order of `_levels`."""

_SHOWN_AT_ZERO: Final = 2
"""The first slots are told from the first finished call on, as the conventions ask: 0 tokens of
unknown modality where the provider said nothing. The others appear with their first count."""

_NOTHING_FED: Final = (*(-1,) * _SHOWN_AT_ZERO, *(0,) * (len(_SLOTS) - _SHOWN_AT_ZERO))

RECOVERED_COUNTERS: Final = tuple(dict.fromkeys(slot.counter for slot in _SLOTS))
"""What a scope of the dead has: the counters of cells."""


def _levels(n: Counts) -> tuple[int, ...]:
    """How high each slot's series stands. A modality of the whole is the whole less the others."""
    finished = c.finished(n)
    return (
        n[c.INPUT] - n[c.INPUT_TEXT] - n[c.INPUT_AUDIO] - n[c.INPUT_IMAGE] if finished else -1,
        n[c.OUTPUT] - n[c.OUTPUT_TEXT] - n[c.OUTPUT_AUDIO] - n[c.OUTPUT_IMAGE] if finished else -1,
        *n[c.INPUT_TEXT : c.OUTPUT_IMAGE + 1],
        n[c.CACHE_READ],
        n[c.CACHE_WRITE],
        n[c.REASONING],
        *n[c.OK : c.UNFINISHED + 1],
        n[c.WITH_USAGE],
        n[c.CACHED],
        finished + n[c.FAILED_ATTEMPTS],
        n[c.UNCLASSIFIED],
        *n[c.CACHED_INPUT : c.CACHED_UNCLASSIFIED + 1],
    )


class _CellFeed:
    """What of a cell was fed, and the attributes of its series, each made when it is needed."""

    __slots__ = ("attributes", "base", "fed")

    def __init__(self, base: Attributes) -> None:
        self.base = base
        self.fed = list(_NOTHING_FED)
        self.attributes: list[Attributes | None] = [None] * len(_SLOTS)


class IncarnationFeed:
    """What of one incarnation's books was fed into one scope of one provider.

    Args:
        incarnation: Whose books.
        label: The incarnation as series name it, or None where they do not.
        counters: The scope's counters by name; a series without its counter is left out.
    """

    __slots__ = ("_books", "_cells", "_counters", "incarnation", "label", "revision")

    def __init__(
        self, incarnation: str, *, label: str | None, counters: Mapping[str, GuardedCounter]
    ) -> None:
        self.incarnation = incarnation
        self.label = label
        self.revision = 0
        self._counters = counters
        self._cells: dict[CellKey, _CellFeed] = {}
        self._books: dict[tuple[str, str], int] = {}

    def feed(self, snapshot: Snapshot) -> None:
        """Let the counters rise to the snapshot's levels."""
        for cell in snapshot.cells:
            self._feed_cell(cell.key, cell.counts)
        # After the cells: an error among them makes the next collection look at them again.
        self.revision = snapshot.revision

    def _feed_cell(self, key: CellKey, counts: Counts) -> None:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _CellFeed(cell_attributes(key, incarnation=self.label))
        fed = cell.fed
        for index, level in enumerate(_levels(counts)):
            before = fed[index]
            if level <= before:
                continue
            fed[index] = level
            counter = self._counters.get(_SLOTS[index].counter)
            if counter is None:
                continue
            attributes = cell.attributes[index]
            if attributes is None:
                attributes = counter.sets.admit(cell.base | _SLOTS[index].extra)
                cell.attributes[index] = attributes
            counter.add(level - max(before, 0), attributes)

    def feed_books(self, books: BookCounts) -> None:
        """Let the counters about the books rise."""
        self.feed_total(semconv.CALLS_UNATTRIBUTED, books.unattributed)
        self.feed_total(semconv.CELLS_FOLDED, books.folded_cells)
        self.feed_total(semconv.JOURNAL_BYTES, books.journal_bytes)
        self.feed_total(semconv.JOURNAL_ERRORS, books.journal_errors)
        for reason, tokens in books.reconciliations.items():
            self.feed_total(semconv.RECONCILIATION, tokens, of=(semconv.REASON, reason))
        for reason, times in books.anomalies.items():
            self.feed_total(semconv.ANOMALIES, times, of=(semconv.REASON, reason))

    def feed_total(self, name: str, level: int, *, of: tuple[str, str] = ("", "")) -> None:
        """Let one counter that has no cell rise to ``level``.

        Args:
            name: The counter.
            level: Its level since the incarnation began; a lower one than before changes nothing.
            of: An attribute's name and value, such as a reason.
        """
        before = self._books.get((name, of[1]), 0)
        if level <= before:
            return
        self._books[name, of[1]] = level
        attribute, value = of
        attributes: Attributes = {attribute: value} if attribute else {}
        if self.label is not None:
            attributes[semconv.INCARNATION] = self.label
        counter = self._counters[name]
        counter.add(level - before, counter.sets.admit(attributes))
