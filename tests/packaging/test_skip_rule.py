"""In CI a test that did not run is a failed test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
import pytest

def test_runs() -> None: pass
def test_is_skipped() -> None: pytest.skip({reason!r})
@pytest.mark.skipif(True, reason={reason!r})
def test_is_marked() -> None: pass
"""
FILE = """
import pytest
pytest.skip({reason!r}, allow_module_level=True)
"""


def run_suite(folder: Path, suite: str, *, ci: str) -> tuple[int, str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_suite.py").write_text(suite)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_suite.py"],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout


@pytest.mark.parametrize("suite", [SUITE, FILE], ids=["test", "file"])
def test_a_skip_fails_in_ci_and_says_why(tmp_path: Path, suite: str) -> None:
    code, told = run_suite(tmp_path, suite.format(reason="no browser"), ci="true")
    assert code not in {0, 5}
    assert "must run in CI but was skipped: no browser" in told


def test_a_skip_for_the_platform_is_allowed_in_ci(tmp_path: Path) -> None:
    code, told = run_suite(tmp_path, SUITE.format(reason="platform: no fork"), ci="true")
    assert (code, "1 passed, 2 skipped" in told) == (0, True)


def test_a_skip_is_a_skip_at_home(tmp_path: Path) -> None:
    code, told = run_suite(tmp_path, SUITE.format(reason="no browser"), ci="")
    assert (code, "1 passed, 2 skipped" in told) == (0, True)
