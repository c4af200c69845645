"""Prints what a run of all checks came to; its last line is ``N passed, N failed``.

A test session counts its tests, any other check counts as one. A session that could not run at all
(no interpreter) is not counted outside CI; inside CI nox itself fails it.

Usage: ``python .ci/closing_line.py REPORTS``, the folder with ``nox.json`` and the JUnit files.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

NOT_IN_FILES = re.compile(r"[^\w.-]")


def count(junit: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of one JUnit file.

    The tests themselves are counted: the sums that pytest writes beside them also have the parts
    that a test may report (hypothesis examples of an API, subtests).
    """
    passed = failed = skipped = 0
    root = ET.parse(junit).getroot()  # noqa: S314 written by pytest a moment ago
    for test in root.iter("testcase"):
        if test.find("failure") is not None or test.find("error") is not None:
            failed += 1
        elif test.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(reports: Path) -> int:
    """Print a line for each session and the closing line."""
    told = reports / "nox.json"
    sessions = json.loads(told.read_text())["sessions"] if told.exists() else []
    all_passed = all_failed = 0
    for session in sessions:
        name, result = max(session["signatures"], key=len), session["result"]
        if result == "skipped":
            print(f"{name}: not run")
            continue
        files = [reports / f"{NOT_IN_FILES.sub('-', each)}.xml" for each in session["signatures"]]
        junit = next((file for file in files if file.exists()), None)
        passed, failed, skipped = count(junit) if junit else (0, 0, 0)
        if junit is None:
            passed = int(result == "success")
        if result != "success" and failed == 0:
            failed = 1
        print(
            f"{name}: {passed} passed, {failed} failed" + (f", {skipped} skipped" * bool(skipped))
        )
        all_passed += passed
        all_failed += failed
    if not sessions:
        all_failed = 1
    print(f"{all_passed} passed, {all_failed} failed")
    return 1 if all_failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
