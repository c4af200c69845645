"""Fails where a folder's branch coverage is below what it must have, and says which lines lack.

Usage: ``python .ci/coverage_gate.py REPORT``, the file that ``coverage json`` wrote.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "src/tokenbeat/"

# The first prefix that fits decides; percent of lines and branches together, as coverage counts.
GATES = (
    ("usage/", 100),
    ("ledger/", 100),
    ("heartbeat/", 100),
    ("control_plane/ingest/", 100),
    ("", 90),
)


@dataclass(kw_only=True)
class Folder:
    """What was run of the files under one gate."""

    covered: int = 0
    existing: int = 0

    @property
    def percent(self) -> float:
        """Lines and branches that ran, of those that exist (at least one does)."""
        return 100 * self.covered / self.existing


def gate_of(file: str) -> tuple[str, int]:
    """The gate that a file of the package stands under."""
    return next(gate for gate in GATES if file.startswith(gate[0]))


def main(report: Path) -> int:
    """Print each gate's result and the lacking lines of those that fail."""
    folders = {prefix: Folder() for prefix, _ in GATES}
    lacking: dict[str, list[str]] = {prefix: [] for prefix, _ in GATES}
    for path, told in json.loads(report.read_text())["files"].items():
        file = path.replace("\\", "/").partition(PACKAGE)[2]
        prefix, _ = gate_of(file)
        summary = told["summary"]
        folders[prefix].covered += summary["covered_lines"] + summary["covered_branches"]
        folders[prefix].existing += summary["num_statements"] + summary["num_branches"]
        lines = [str(line) for line in told["missing_lines"]]
        branches = [f"{start}->{end}" for start, end in told["missing_branches"]]
        if lines or branches:
            lacking[prefix].append(f"  {PACKAGE}{file}: {' '.join(lines + branches)}")
    failed = False
    for prefix, least in GATES:
        folder = folders[prefix]
        name = prefix or "everything else"
        if not folder.existing:
            failed = True
            print(f"{name}: nothing was measured")
            continue
        enough = folder.percent >= least
        failed |= not enough
        print(f"{name}: {folder.percent:.2f} % of lines and branches, at least {least}")
        if not enough:
            print("\n".join(lacking[prefix]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
