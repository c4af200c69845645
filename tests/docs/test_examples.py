"""The examples in Python use names that exist, and run."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import tokenbeat

if TYPE_CHECKING:
    from pathlib import Path

# Those of docs/testing.md are tests, and run in tests/testing/test_documentation.py.
RUN = (
    "README.md",
    "docs/attribution.md",
    "docs/getting-started.md",
    "docs/heartbeat.md",
    "docs/langchain.md",
    "docs/reading.md",
)


def test_every_name_in_an_example_exists(pages: list[Any]) -> None:
    blocks = [(page.name, block) for page in pages for block in page.blocks.get("python", [])]
    assert len(blocks) > 8
    for page, block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), (page, alias.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                ours = node.value.id == "tokenbeat"
                assert not ours or hasattr(tokenbeat, node.attr), (page, node.attr)


def test_every_page_with_an_example_is_run(pages: list[Any]) -> None:
    having = {page.name for page in pages if "python" in page.blocks}
    assert having == {*RUN, "docs/testing.md"}


@pytest.mark.parametrize("name", RUN)
def test_the_examples_of_a_page_run_one_after_the_other(
    name: str, pages: list[Any], tmp_path: Path
) -> None:
    (page,) = (page for page in pages if page.name == name)
    program = tmp_path / "example.py"
    program.write_text("\n\n".join(page.blocks["python"]), encoding="utf-8")
    ours = ("TOKENBEAT_", "OTEL_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"XDG_STATE_HOME": str(tmp_path / "state"), "TOKENBEAT_PORT": "0"}
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
