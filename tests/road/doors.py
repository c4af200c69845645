"""The doors at which one truth must be seen: bill, ledger, journal, counters, heartbeats, API.

Each is read by lines of its own that share no code of the package. A reading has, by answered
model and caller, the tokens of each kind and the calls whose usage is known; and, by caller alone,
all calls that ended and all attempts that failed (what never answered has no answered model).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import httpx
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tokenbeat.ledger.replay import replay
from tokenbeat.usage import counts as c

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.testing import Bill
    from tokenbeat.usage.call import CellKey

KINDS: Final = ("input", "output", "cacheRead", "cacheWrite", "reasoning", "unclassified")

Place = tuple[str, str, str]
"""Answered model, caller and kind; the model is empty where the kind is of all calls."""


class Reading:
    """What a door says; zeros are not in it.

    Attributes:
        counts: Tokens of each of `KINDS` and ``known`` calls by model and caller; ``finished``
            calls and ``failed`` attempts by caller.
    """

    def __init__(self) -> None:
        self.counts: Counter[Place] = Counter()

    @property
    def total_tokens(self) -> int:
        """Input + output + unclassified."""
        return sum(
            count
            for (_, _, kind), count in self.counts.items()
            if kind in {"input", "output", "unclassified"}
        )

    def add(self, model: str, caller: str, counts: Mapping[str, int]) -> None:
        """Adds what of ``counts`` is compared."""
        for kind, count in counts.items():
            if count and kind in {*KINDS, "known"}:
                self.counts[model, caller, kind] += count
            elif count and kind in {"finished", "failed"}:
                self.counts["", caller, kind] += count


def differences(bill: Reading, doors: Mapping[str, Reading]) -> list[str]:
    """One line for each number that a door tells differently from the bill."""
    return [
        f"{door}: {' '.join(place)}: {reading.counts[place]} instead of {bill.counts[place]}"
        for door, reading in doors.items()
        for place in sorted(bill.counts.keys() | reading.counts.keys())
        if bill.counts[place] != reading.counts[place]
    ]


# Bill ------------------------------------------------------------------------------------------


def billed(bill: Bill, *, cached: Counter[str] | None = None, of_run: str | None = None) -> Reading:
    """What the provider's bill says that the agent can know.

    A label is a caller's path, or the run's name, ``#`` and that path; ``of_run`` takes one run.

    A request whose usage was handed over in full is a call with known usage. One that ended
    without is a call of unknown usage where the client got an answer or went away by itself, and a
    failed attempt where it got an error instead, billed or not. What a local cache answered was
    never requested: ``cached`` adds it, by caller.
    """
    reading = Reading()
    for entry in bill.entries:
        run, _, caller = (entry.label or "").rpartition("#")
        if of_run not in {None, run}:
            continue
        failed = entry.ended in {"error", "cut"} and not entry.told
        counts = {"failed" if failed else "finished": 1}
        if entry.told:
            usage = entry.usage
            counts |= {
                "known": 1,
                "input": usage.input_tokens,
                "output": usage.output_tokens,
                "cacheRead": usage.cache_read_tokens,
                "cacheWrite": usage.cache_write_tokens,
                "reasoning": usage.reasoning_tokens,
                "unclassified": usage.unclassified_tokens,
            }
        reading.add(entry.response_model, caller, counts)
    for refused in bill.refused:
        run, _, caller = (refused.label or "").rpartition("#")
        if of_run in {None, run}:
            reading.add("", caller, {"failed": 1})
    for caller, times in (cached or {}).items():
        reading.add("", caller, {"finished": times})
    return reading


# Ledger and journal ----------------------------------------------------------------------------


def counted(ledger: Ledger) -> Reading:
    """What the living books say."""
    return _of_cells((cell.key, cell.counts) for cell in ledger.snapshot().cells)


def replayed(journal: Path) -> Reading:
    """What the journal's records make, read back from the file."""
    found = replay(journal)
    assert (found.missing, found.damaged) == ((), {})
    return _of_cells((key, counts) for key, (counts, _) in found.accounts.cells.items())


def _of_cells(cells: Iterable[tuple[CellKey, tuple[int, ...]]]) -> Reading:
    reading = Reading()
    for key, counts in cells:
        named = dict(zip(c.COUNT_FIELDS, counts, strict=True))
        reading.add(
            key.response_model or "",
            key.caller,
            {
                "input": named["input_tokens"],
                "output": named["output_tokens"],
                "cacheRead": named["cache_read_tokens"],
                "cacheWrite": named["cache_write_tokens"],
                "reasoning": named["reasoning_tokens"],
                "unclassified": named["unclassified_tokens"],
                "known": named["with_usage"],
                "finished": sum(
                    named[name] for name in ("ok", "error", "cancelled", "abandoned", "unfinished")
                ),
                "failed": named["failed_attempts"],
            },
        )
    return reading


# Counters --------------------------------------------------------------------------------------

_COUNTERS: Final = {
    "gen_ai.client.inference.usage.input_tokens": "input",
    "gen_ai.client.inference.usage.output_tokens": "output",
    "gen_ai.client.inference.usage.cache_read.input_tokens": "cacheRead",
    "gen_ai.client.inference.usage.cache_write.input_tokens": "cacheWrite",
    "gen_ai.client.inference.usage.reasoning.output_tokens": "reasoning",
    "tokenbeat.usage.unclassified_tokens": "unclassified",
    "tokenbeat.calls.with_usage": "known",
    "tokenbeat.calls": "finished",
    "tokenbeat.calls.attempts": "attempts",
}


class OtlpReceiver:
    """Decodes OTLP and keeps the greatest value of each series."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    def take(self, body: bytes) -> None:
        """Takes one request's body."""
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.sum.data_points if metric.name in _COUNTERS else ():
                        names = {a.key: a.value.string_value for a in point.attributes}
                        series = (metric.name, tuple(sorted(names.items())))
                        self.levels[series] = max(self.levels.get(series, 0), point.as_int)

    def collect(self, reader: InMemoryMetricReader) -> None:
        """Takes what a reader collects now, through the real exporter's encoder."""
        collected = reader.get_metrics_data()
        if collected is not None:
            self.take(encode_metrics(collected).SerializeToString())

    def reading(self) -> Reading:
        """The sums over all incarnations and whatever else a series names."""
        reading = Reading()
        for (name, attributes), level in self.levels.items():
            names = dict(attributes)
            model, caller = names.get("gen_ai.response.model", ""), names["tokenbeat.caller"]
            kind = _COUNTERS[name]
            reading.add(model, caller, {"failed" if kind == "attempts" else kind: level})
            if kind == "finished":  # attempts are finished calls and failed attempts
                reading.add("", caller, {"failed": -level})
        return reading


# Heartbeats and API ----------------------------------------------------------------------------


def merged(bodies: Iterable[bytes]) -> Reading:
    """What heartbeats say, by the protocol's own rule: the greatest of each count of each cell."""
    greatest: dict[tuple[str, ...], Counter[str]] = {}
    for body in bodies:
        beat = json.loads(body).get("tokenbeat", {})
        for cell in (cell for cut in beat.get("cuts", ()) for cell in cut["cells"]):
            names = ("operation", "provider", "requestModel", "responseModel", "agent", "caller")
            key = (beat["incarnation"], *(cell.get(name, "") for name in names))
            kept = greatest.setdefault(key, Counter())
            for name, count in _wire_counts(cell):
                kept[name] = max(kept[name], count)
    reading = Reading()
    for key, kept in greatest.items():
        reading.add(key[4], key[6], dict(kept) | {"finished": _finished(kept)})
    return reading


def reported(report: Any) -> Reading:
    """What the control plane's API answered to ``by=responseModel,caller``."""
    reading = of_rows(report["rows"])
    assert report["totals"]["tokens"]["total"] == reading.total_tokens
    return reading


def of_rows(rows: Iterable[Mapping[str, Any]]) -> Reading:
    """The sum of an answer's rows; callers lose the number of their instance."""
    reading = Reading()
    for row in rows:
        counts = Counter(dict(_wire_counts(row)))
        assert counts["finished"] == _finished(counts)
        reading.add(row["responseModel"] or "", re.sub(r"#\d+", "", row["caller"]), counts)
    return reading


def usage_of(address: str, service: str, *, by: str = "responseModel,caller") -> Any:
    """Asks the control plane for a service's usage."""
    answer = httpx.get(
        f"{address}/api/v1/agents/{service}/usage", params={"by": by, "limit": 5_000}, timeout=30
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


def _wire_counts(cell: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield from cell.get("tokens", {}).items()
    for name, count in cell.get("calls", {}).items():
        yield ("known" if name == "withUsage" else name), count
    yield "failed", cell.get("failedAttempts", 0)


def _finished(counts: Mapping[str, int]) -> int:
    return sum(
        counts.get(name, 0) for name in ("ok", "error", "cancelled", "abandoned", "unfinished")
    )
