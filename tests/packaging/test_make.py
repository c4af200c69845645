"""What the make targets pass on, as make itself says it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="platform: no make here")


def plan(*arguments: str) -> str:
    """The last command that make would run."""
    told = subprocess.run(
        ["make", "--dry-run", *arguments],  # noqa: S607 make of the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.replace("\\\n", "").strip().splitlines()[-1]


def demo_flags(*arguments: str) -> list[str]:
    return plan("demo", *arguments).partition("tokenbeat.demo")[2].split()


def test_the_demo_gets_its_variables_as_flags() -> None:
    assert demo_flags() == []
    assert demo_flags("ONCE=1") == ["--once"]
    assert demo_flags("ONCE=1", "JSON=1", "FAULT=journal") == [
        "--once",
        "--json",
        "--fault=journal",
    ]
    assert demo_flags("LIVE=1") == ["--live"]


def test_a_variable_of_nought_is_no_flag() -> None:
    assert demo_flags("ONCE=0", "JSON=0", "LIVE=0") == []


def test_one_benchmark_runs_by_name_and_prints_numbers_only() -> None:
    told = plan("bench", "NAME=overhead", "JSON=1")
    assert "benchmarks/overhead.py" in told
    assert "--json -" in told


def test_only_ci_demands_every_python() -> None:
    assert "--no-error-on-missing-interpreters" in plan("test", "CI=")
    assert "--error-on-missing-interpreters" in plan("test", "CI=true").split()
