"""The examples of docs/testing.md run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tokenbeat.testing import Answer, Rule, Usage, script_from_json

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def _blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def test_every_python_example_passes_as_a_test(tmp_path: Path) -> None:
    examples = _blocks("python")
    for number, example in enumerate(examples):
        (tmp_path / f"test_example_{number}.py").write_text(example, "utf-8")

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{sum(example.count('def test_') for example in examples)} passed" in ran.stdout


def test_every_script_example_can_be_read() -> None:
    (script,) = (script_from_json(json.loads(block)) for block in _blocks("json"))

    assert script.rules[0].answers[0].usage == Usage(input_tokens=10, output_tokens=2)


@pytest.mark.parametrize("kind", [Answer, Rule, Usage])
def test_every_field_is_in_the_docs(kind: type[Answer | Rule | Usage]) -> None:
    text = PAGE.read_text("utf-8")

    assert [one.name for one in fields(kind) if one.name not in text] == []
