"""Compares the points of a collection with the books: two roads from one ledger must agree.

The ledger wins; a difference is counted as the anomaly ``drift`` and changes no number on the wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics.export import NumberDataPoint

from tokenbeat import semconv
from tokenbeat.telemetry.attributes import cell_attributes
from tokenbeat.usage import counts as c

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics.export import MetricsData

    from tokenbeat.ledger.snapshot import Snapshot
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

_BREAKDOWNS: Final = frozenset({semconv.TOKEN_MODALITY, semconv.OUTCOME})

Series = frozenset[tuple[str, object]]
Levels = dict[str, Counter[Series]]


_Count = Callable[["Counts"], int]

_COMPARED: Final[dict[str, _Count]] = {
    semconv.INFERENCE_INPUT_TOKENS: itemgetter(c.INPUT),
    semconv.INFERENCE_OUTPUT_TOKENS: itemgetter(c.OUTPUT),
    semconv.INFERENCE_CACHE_READ_TOKENS: itemgetter(c.CACHE_READ),
    semconv.INFERENCE_CACHE_WRITE_TOKENS: itemgetter(c.CACHE_WRITE),
    semconv.INFERENCE_REASONING_TOKENS: itemgetter(c.REASONING),
    semconv.CALLS: c.finished,
    semconv.CALLS_WITH_USAGE: itemgetter(c.WITH_USAGE),
}
"""Counters of cells; summed over modalities and outcomes each is one count of its cell."""


class DriftCheck:
    """Keeps the cells that collections were fed from, and compares."""

    def __init__(self) -> None:
        self._incarnation = ""
        self._cells: dict[CellKey, Counts] = {}
        self._told: dict[str, int] = {}

    def saw(self, snapshot: Snapshot) -> None:
        """A collection was fed from this snapshot (with what changed since the one before)."""
        if snapshot.incarnation != self._incarnation:
            self._incarnation = snapshot.incarnation
            self._cells = {}
            self._told = {}
        self._cells.update((cell.key, cell.counts) for cell in snapshot.cells)

    def compare(self, collected: MetricsData) -> dict[str, int]:
        """What differs in that collection: counter, and points less cells summed up absolutely.

        Empty where all agree, and where the difference is the one that was told before.
        """
        if not self._incarnation:
            return {}
        differences = _differences(self._observed(collected), self._expected())
        news = {name: by for name, by in differences.items() if self._told.get(name) != by}
        self._told = differences
        return news

    def _expected(self) -> Levels:
        levels: Levels = {name: Counter() for name in _COMPARED}
        for key, counts in self._cells.items():
            series = frozenset(cell_attributes(key, incarnation=self._incarnation).items())
            for name, count in _COMPARED.items():
                levels[name][series] += count(counts)
        return levels

    def _observed(self, collected: MetricsData) -> Levels:
        levels: Levels = {name: Counter() for name in _COMPARED}
        for resource in collected.resource_metrics:
            for scope in resource.scope_metrics:
                if scope.scope.name != semconv.SCOPE_NAME:
                    continue
                for metric in scope.metrics:
                    if metric.name not in levels:
                        continue
                    for point in metric.data.data_points:
                        attributes: Mapping[str, object] = dict(point.attributes or {})
                        mine = attributes.get(semconv.INCARNATION) == self._incarnation
                        if mine and isinstance(point, NumberDataPoint):
                            levels[metric.name][_series(attributes)] += int(point.value)
        return levels


def _series(attributes: Mapping[str, object]) -> Series:
    return frozenset((name, value) for name, value in attributes.items() if name not in _BREAKDOWNS)


def _differences(observed: Levels, expected: Levels) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, levels in expected.items():
        points = observed[name]
        if set(points) <= set(levels):
            by = sum(abs(points[series] - level) for series, level in levels.items())
        else:
            # Past the limit of attribute sets some points stand for several cells.
            by = abs(sum(points.values()) - sum(levels.values()))
        if by:
            found[name] = by
    return found
