"""A run of all checks ends with how many passed and failed, and its exit code agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def junit(*, passed: int = 0, failures: int = 0, errors: int = 0, skipped: int = 0) -> str:
    """A file of pytest's, whose own sum also counts the parts of tests."""
    tests = ["<testcase/>"] * passed
    for kind, number in (("failure", failures), ("error", errors), ("skipped", skipped)):
        tests += [f"<testcase><{kind}/></testcase>"] * number
    return f'<testsuites><testsuite tests="99">{"".join(tests)}</testsuite></testsuites>'


def close(folder: Path, **results: str) -> tuple[int, list[str]]:
    sessions = [
        {"signatures": [name], "result": result, "result_code": 0}
        for name, result in results.items()
    ]
    (folder / "nox.json").write_text(json.dumps({"sessions": sessions}))
    told = subprocess.run(
        [sys.executable, ROOT / ".ci" / "closing_line.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout.splitlines()


def test_tests_are_counted_one_by_one_and_other_checks_as_one(tmp_path: Path) -> None:
    (tmp_path / "core.xml").write_text(junit(passed=10, skipped=2))
    code, lines = close(tmp_path, lint="success", core="success")
    assert (code, lines[-1]) == (0, "11 passed, 0 failed")
    assert "core: 10 passed, 0 failed, 2 skipped" in lines


def test_failures_and_errors_are_failed(tmp_path: Path) -> None:
    (tmp_path / "core.xml").write_text(junit(passed=9, failures=2, errors=1))
    assert close(tmp_path, core="failed") == (1, ["core: 9 passed, 3 failed", "9 passed, 3 failed"])


def test_a_session_that_failed_outside_its_tests_is_failed(tmp_path: Path) -> None:
    (tmp_path / "core.xml").write_text(junit(passed=12))
    code, lines = close(tmp_path, core="failed", types="failed")
    assert (code, lines[-1]) == (1, "12 passed, 2 failed")


def test_a_run_without_any_session_is_a_failed_one(tmp_path: Path) -> None:
    code, lines = close(tmp_path)
    assert (code, lines[-1]) == (1, "0 passed, 1 failed")
