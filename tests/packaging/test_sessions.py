"""No test can be forgotten: each stands in the list of some session, and CI runs every session."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREE = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))


def listed(name: str) -> set[str]:
    """The strings of a tuple in the noxfile (those that it takes from another are not needed)."""
    for node in TREE.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return {
                part.value
                for part in ast.walk(node.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    pytest.fail(f"the noxfile has no {name}")


def test_every_folder_of_tests_is_run_by_a_session() -> None:
    run = listed("CORE") | listed("LANGCHAIN") | listed("SERVER") | listed("ROAD")
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")} - {ROOT / "tests"}
    tops = {folder.relative_to(ROOT / "tests").parts[0] for folder in folders}
    assert tops - run == set()


def test_every_session_but_the_lock_is_a_check() -> None:
    chosen = listed("nox.options.sessions")
    defined = {
        next(
            (
                str(keyword.value.value)
                for decorator in node.decorator_list
                if isinstance(decorator, ast.Call)
                for keyword in decorator.keywords
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
            ),
            node.name,
        )
        for node in TREE.body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(each) for each in node.decorator_list)
    }
    assert defined - chosen == {"lock"}
    assert chosen - defined == set()
