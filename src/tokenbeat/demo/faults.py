"""Plants a fault at one door, so that the comparison can be seen to fail."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import urllib3

from tokenbeat.demo import doors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.demo.stage import Stage


def plant(door: str, stage: Stage) -> None:
    """Makes one door wrong by a little.

    Args:
        door: One of `doors.DOORS`.
        stage: Where it is.
    """
    _FAULTS[door](stage)


def _bill(stage: Stage) -> None:
    """Somebody else calls the model: the bill has a request that the agent did not make."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "An uncounted question"}]}
    with urllib3.PoolManager() as pool:
        pool.request("POST", f"{stage.openai_url}/chat/completions", json=body, timeout=10.0)


def _ledger(stage: Stage) -> None:
    """The last call's end is torn out of a journal."""
    journal = next(iter(stage.spool.rglob("*.journal")))
    lines = journal.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"input_tokens"' in line)
    journal.write_bytes(b"".join(lines[:last] + lines[last + 1 :]))


def _counters(stage: Stage) -> None:
    """One series is a token ahead."""
    series = next(iter(stage.sink.levels))
    stage.sink.levels[series] += 1


def _heartbeats(stage: Stage) -> None:
    """A recorded body says one token more than was sent."""
    for number, body in reversed(list(enumerate(stage.recorder.bodies))):
        beat = json.loads(body)
        cells = [c for cut in beat.get("tokenbeat", {}).get("cuts", []) for c in cut["cells"]]
        for cell in (cell for cell in cells if cell.get("tokens", {}).get("output")):
            cell["tokens"]["output"] += 10**6
            stage.recorder.bodies[number] = json.dumps(beat).encode()
            return


def _control_plane(stage: Stage) -> None:
    """Somebody changes a cell in the database."""
    database = next(iter((stage.folder / "control-plane").glob("*.sqlite3")))
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute(
            "UPDATE cells SET output_tokens = output_tokens + 1 WHERE rowid = "
            "(SELECT min(rowid) FROM cells)"
        )


_FAULTS: dict[str, Callable[[Stage], None]] = {
    doors.BILL: _bill,
    doors.LEDGER: _ledger,
    doors.COUNTERS: _counters,
    doors.HEARTBEATS: _heartbeats,
    doors.CONTROL_PLANE: _control_plane,
}
