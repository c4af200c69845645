"""The coverage that each folder must have is demanded, and what lacks is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


ALL_RUN = {
    "usage/tokens.py": 0,
    "ledger/books.py": 0,
    "heartbeat/message.py": 0,
    "control_plane/ingest/entry.py": 0,
    "cli/serve.py": 0,
}


def gate(folder: Path, *, missed: dict[str, int]) -> tuple[int, str]:
    """Judge files of 100 lines and no branches, of which so many were not run."""
    files = {
        f"src/tokenbeat/{file}": {
            "summary": {
                "covered_lines": 100 - lines,
                "num_statements": 100,
                "covered_branches": 0,
                "num_branches": 0,
            },
            "missing_lines": list(range(1, lines + 1)),
            "missing_branches": [],
        }
        for file, lines in missed.items()
    }
    report = folder / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    told = subprocess.run(
        [sys.executable, ROOT / ".ci" / "coverage_gate.py", report],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout


def test_counting_must_be_covered_wholly_and_the_rest_nearly(tmp_path: Path) -> None:
    code, _ = gate(tmp_path, missed={**ALL_RUN, "cli/serve.py": 10})
    assert code == 0


def test_one_missed_line_of_counting_fails_and_is_named(tmp_path: Path) -> None:
    code, told = gate(tmp_path, missed={**ALL_RUN, "ledger/books.py": 1})
    assert code == 1
    assert "src/tokenbeat/ledger/books.py: 1" in told


def test_too_many_missed_lines_elsewhere_fail(tmp_path: Path) -> None:
    code, told = gate(tmp_path, missed={**ALL_RUN, "cli/serve.py": 11})
    assert code == 1
    assert "everything else: 89.00 %" in told


def test_a_gate_under_which_nothing_was_measured_fails(tmp_path: Path) -> None:
    without = {file: 0 for file in ALL_RUN if not file.startswith("ledger/")}
    code, told = gate(tmp_path, missed=without)
    assert code == 1
    assert "ledger/: nothing was measured" in told
