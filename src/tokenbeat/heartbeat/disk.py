"""The sender's disk: the journal is synced before a beat, AgentSpec's baseline kept beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path

    from tokenbeat.heartbeat.windows import Baseline
    from tokenbeat.ledger.journal import Journal

_COUNTS = 4


class SpoolDisk:
    """The spool folder of one service.

    Args:
        journal: The journal of the books that are sent, or None where they live in memory alone.
        folder: Where ``<incarnation>.ack`` is kept; beside the journal.
    """

    def __init__(self, journal: Journal | None, *, folder: Path) -> None:
        self._journal = journal
        self._folder = folder

    def sync(self) -> None:
        """See `Disk.sync`."""
        if self._journal is not None:
            self._journal.sync()

    def load_baseline(self, incarnation: str) -> Baseline | None:
        """See `Disk.load_baseline`. A file that cannot be read counts as none."""
        try:
            kept: object = json.loads(self._path(incarnation).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        models = cast("Mapping[str, object]", kept).get("models") if _is_object(kept) else None
        if not isinstance(models, Mapping):
            return None
        baseline: dict[str, tuple[int, int, int, int]] = {}
        for model_id, counts in cast("Mapping[str, object]", models).items():
            if not isinstance(counts, list):
                return None
            values = cast("list[object]", counts)
            if len(values) != _COUNTS or not all(type(value) is int for value in values):
                return None
            prompt, completion, total, calls = cast("list[int]", values)
            baseline[model_id] = (prompt, completion, total, calls)
        return baseline

    def save_baseline(self, incarnation: str, baseline: Baseline) -> None:
        """See `Disk.save_baseline`. The file is replaced as a whole, or not at all."""
        if self._journal is None:
            return
        text = json.dumps({"version": 1, "models": baseline}, separators=(",", ":"))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(incarnation)
        aside = path.with_suffix(".ack.new")
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)

    def _path(self, incarnation: str) -> Path:
        return self._folder / f"{incarnation}.ack"


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)
