"""The five doors, each read in its own way and none from the agent's own memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import urllib3

from tokenbeat.demo.merging import merged
from tokenbeat.demo.processes import run
from tokenbeat.demo.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.demo.stage import Stage

BILL: Final = "bill"
LEDGER: Final = "ledger"
COUNTERS: Final = "counters"
HEARTBEATS: Final = "heartbeats"
CONTROL_PLANE: Final = "control-plane"
DOORS: Final = (BILL, LEDGER, COUNTERS, HEARTBEATS, CONTROL_PLANE)

_BY: Final = "responseModel,caller"


def get_json(url: str) -> Any:  # noqa: ANN401 whatever the server says
    """Asks a server of the demo, over HTTP."""
    with urllib3.PoolManager() as pool:
        return json.loads(pool.request("GET", url, timeout=10.0).data)


def bill(stage: Stage) -> Reading:
    """The model server's bill, over HTTP."""
    entries = get_json(stage.bill_url or "")["entries"]
    return Reading.of(
        BILL, (((e["response_model"], e["label"] or ""), e["total_tokens"]) for e in entries)
    )


def ledger(stage: Stage) -> Reading:
    """The journal files, replayed by another process."""
    arguments = ["-m", "tokenbeat.cli", "usage", "--journals", "--json", "--by", _BY]
    report = run("usage", [*arguments, "--spool-dir", str(stage.spool)], variables={})
    return Reading.of(LEDGER, _rows(json.loads(report)))


def counters(stage: Stage) -> Reading:
    """The OpenTelemetry counters, as decoded from OTLP."""
    return Reading.of(COUNTERS, stage.sink.tokens())


def heartbeats(stage: Stage) -> Reading:
    """The recorded bodies, merged by twenty independent lines."""
    return Reading.of(HEARTBEATS, merged(list(stage.recorder.bodies)).items())


def control_plane(stage: Stage) -> Reading:
    """The control plane's API."""
    report = get_json(f"{stage.control_plane}/api/v1/usage?by={_BY}")
    return Reading.of(CONTROL_PLANE, _rows(report))


def _rows(report: dict[str, Any]) -> Iterator[tuple[tuple[str, str], int]]:
    for row in report["rows"]:
        yield (row["responseModel"] or "", row["caller"]), row["tokens"]["total"]


def read(stage: Stage, *, live: bool) -> list[Reading]:
    """Every door; a live run has no bill."""
    doors = [ledger, counters, heartbeats, control_plane]
    return [door(stage) for door in (doors if live else [bill, *doors])]
