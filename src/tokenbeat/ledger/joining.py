"""Joining reports of different sources by the provider's response id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokenbeat.ledger.bounds import Bounds
    from tokenbeat.ledger.report import Report

_SHORTEST_ID: Final = 16
_FEWEST_KINDS: Final = 6
_LATEST_OF_AN_ID: Final = 3
_OF_ONE_SOURCE: Final = 100


def is_tie(response_id: str | None) -> bool:
    """Whether a response id is long and random enough to tie two reports together.

    Ollama draws from 999 numbers and gateways count upwards: such ids say nothing.
    """
    if response_id is None or len(response_id) < _SHORTEST_ID:
        return False
    tail = response_id[-_SHORTEST_ID:]
    return len(set(tail)) >= _FEWEST_KINDS and not tail.lstrip("0").isdecimal()


class Joins:
    """Ended calls by response id, for as long as another report of them may come.

    Args:
        bounds: How many, and for how long.
    """

    def __init__(self, *, bounds: Bounds) -> None:
        self._bounds = bounds
        self._ended: dict[str, tuple[Report, ...]] = {}
        self._sources: set[str] = set()

    def add(self, report: Report) -> None:
        """Remembers an ended call; one without an id, or from a cache, is not."""
        response_id = report.response_id
        if report.cached or response_id is None:
            return
        ended = self._ended
        # An id that keeps coming back is none, and must not cost more each time it does.
        ended[response_id] = (*ended.get(response_id, ())[-_LATEST_OF_AN_ID:], report)
        self._sources.add(report.source)
        # One source alone never joins: it is enough to remember what another may overlap.
        if len(ended) > (self._bounds.join_calls if len(self._sources) > 1 else _OF_ONE_SOURCE):
            del ended[next(iter(ended))]

    def of_one_source(self, source: str) -> bool:
        """Whether nothing but calls of ``source`` could be joined: nothing then."""
        sources = self._sources
        return not sources or (len(sources) == 1 and source in sources)

    def match(self, report: Report) -> Report | None:
        """The ended call that ``report`` is another account of, or None.

        They are of different sources, overlap in time, and at most one of them has been tied by
        context: a token comes before an id.
        """
        if report.response_id is None:
            return None
        others = self._ended.get(report.response_id)
        if others is None or report.cached or not is_tie(report.response_id):
            return None
        for other in others:
            if other.source != report.source and self._overlap(other, report):
                tied = report.inside is not None or bool(report.children)
                if not (tied and (other.inside is not None or other.children)):
                    return other
        return None

    def expire(self, now_mono_ns: int) -> None:
        """Forgets calls that ended longer ago than the bound."""
        while self._ended:
            response_id = next(iter(self._ended))
            ended_ns = self._ended[response_id][-1].ended_mono_ns or 0
            if now_mono_ns - ended_ns <= self._bounds.join_ns:
                return
            del self._ended[response_id]

    def _overlap(self, left: Report, right: Report) -> bool:
        slack_ns = self._bounds.overlap_ns
        left_end = left.ended_mono_ns or left.started_mono_ns
        right_end = right.ended_mono_ns or right.started_mono_ns
        return (
            left.started_mono_ns <= right_end + slack_ns
            and right.started_mono_ns <= left_end + slack_ns
        )
