r"""What mkdocs asks while it builds: tables of names made from the source, and the order of pages.

A line ``<!-- names: src/tokenbeat/semconv.py tokenbeat\. -->`` in a page becomes a table of that
module's constants whose value begins with the expression, with their docstrings; so a name that
is in the source is in the documentation. ``<!-- settings: FILE CLASS PREFIX -->`` does the same
for the fields of a settings class, which are read from the environment. ``<!-- changelog -->``
becomes what ``changelog.d/`` has and what ``CHANGELOG.md`` tells of released versions.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"^<!-- (names|settings): (.*?) -->$", re.MULTILINE)
CHANGES = "<!-- changelog -->"
RELEASED = "<!-- towncrier release notes start -->"
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")


def documented(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None, str]]:
    """Each assigned name with its value and the docstring below it ("" where there is none)."""
    for statement, following in zip(body, [*body[1:], None], strict=False):
        target: ast.expr
        if isinstance(statement, ast.AnnAssign):
            target, value = statement.target, statement.value
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        else:
            continue
        meaning = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            meaning = str(following.value.value)
        if isinstance(target, ast.Name):
            yield target.id, value, meaning


def names(path: Path, expression: str) -> list[tuple[str, str]]:
    """Value and meaning of each public constant of a module that begins with the expression."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [
        (value.value, meaning)
        for name, value, meaning in documented(body)
        if not name.startswith("_")
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and re.match(expression, value.value)
    ]


def settings(path: Path, class_name: str, prefix: str) -> list[tuple[str, str]]:
    """Environment variable and meaning of each field of a settings class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return [
                (prefix + name.upper(), meaning)
                for name, _, meaning in documented(node.body)
                if name != "model_config"
            ]
    message = f"{path} has no class {class_name}"
    raise LookupError(message)


def table(rows: list[tuple[str, str]]) -> str:
    """Rows as a Markdown table, docstring markup made Markdown's."""
    lines = ["| Name | Meaning |", "| --- | --- |"]
    for name, meaning in rows:
        told = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{name}` | {told} |")
    return "\n".join(lines)


def changes() -> str:
    """What is not released yet, by kind, and then the released versions, newest first."""
    told: list[str] = []
    for kind in KINDS:
        files = sorted((ROOT / "changelog.d").glob(f"*.{kind}.md"))
        if files:
            told += [f"### {kind.capitalize()}", ""]
            told += [f"- {file.read_text(encoding='utf-8').strip()}" for file in files]
            told.append("")
    released = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition(RELEASED)[2]
    return "\n".join([*(["## Unreleased", "", *told] if told else []), released.strip()])


def fill(markdown: str) -> str:
    """A page with its tables in place of the marks."""

    def made(mark: re.Match[str]) -> str:
        file, *rest = mark[2].split()
        read = names if mark[1] == "names" else settings
        return table(read(ROOT / file, *rest))

    filled = MARK.sub(made, markdown)
    return filled.replace(CHANGES, changes()) if CHANGES in filled else filled


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 mkdocs passes page, config, files
    """Called by mkdocs for each page."""
    return fill(markdown)


def standing(entries: list[Any], folder: Path) -> tuple[list[Any], set[str]]:
    """The navigation without pages that are not there yet, and the pages that it names."""
    kept: list[Any] = []
    named: set[str] = set()
    for entry in entries:
        if isinstance(entry, str):
            if (folder / entry).exists():
                kept.append(entry)
                named.add(entry)
            continue
        for title, below in entry.items():
            pages, names_below = standing(below, folder)
            named |= names_below
            if pages:
                kept.append({title: pages})
    return kept, named


def on_config(config: Any) -> Any:  # noqa: ANN401 mkdocs' own configuration
    """Called by mkdocs once: the pages in their order, then those that have no place yet."""
    folder = Path(config["docs_dir"])
    ordered, named = standing(config["nav"], folder)
    others = sorted(str(page.relative_to(folder)) for page in folder.rglob("*.md"))
    config["nav"] = [*ordered, *(page for page in others if page not in named)]
    return config
