"""Every variable that is read and every name that leaves stands in the documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokenbeat import semconv

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def docs_pages() -> ModuleType:
    """What mkdocs runs to fill the tables."""
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / ".ci" / "docs_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documentation(docs_pages: ModuleType) -> str:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md")]
    return "\n".join(docs_pages.fill(page) for page in pages)


def constants(module: ModuleType, *beginnings: str) -> dict[str, str]:
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, str) and value.startswith(beginnings)
    }
    assert found
    return found


def test_every_name_of_a_metric_or_attribute_is_documented(documentation: str) -> None:
    names = constants(semconv, "gen_ai.", "tokenbeat", "server.", "error.")
    assert [name for name, value in names.items() if f"`{value}`" not in documentation] == []


def test_every_documented_name_says_what_it_means(docs_pages: ModuleType) -> None:
    source = ROOT / "src" / "tokenbeat" / "semconv.py"
    assert [name for name, meaning in docs_pages.names(source, ".") if not meaning] == []


def test_every_variable_of_the_agent_is_documented(
    documentation: str, docs_pages: ModuleType
) -> None:
    source = ROOT / "src" / "tokenbeat" / "settings.py"
    variables = docs_pages.names(source, "TOKENBEAT_|OTEL_")
    assert len(variables) > 10
    assert [name for name, meaning in variables if not meaning] == []
    assert [name for name, _ in variables if f"`{name}`" not in documentation] == []


def test_every_variable_of_the_control_plane_is_documented(
    documentation: str, docs_pages: ModuleType
) -> None:
    source = ROOT / "src" / "tokenbeat" / "control_plane" / "settings.py"
    variables = docs_pages.settings(source, "ServerSettings", "TOKENBEAT_")
    assert len(variables) > 5
    assert [name for name, meaning in variables if not meaning] == []
    assert [name for name, _ in variables if f"`{name}`" not in documentation] == []


def test_the_pages_have_no_mark_that_was_not_filled(documentation: str) -> None:
    assert "<!-- names" not in documentation
    assert "<!-- settings" not in documentation
