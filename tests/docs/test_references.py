"""What pages point to is there: files, headings, metrics, code, tests, and the demo's table."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tokenbeat import semconv

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"`((?:tokenbeat|gen_ai)\.[\w.]*\w)(?:=[^`]*)?`")
FILES = {"tokenbeat.sqlite3"}
TEST = re.compile(r"`((?:tests|src|docs|\.ci)/[\w./-]+\w)(?:::(\w+))?")


def anchors(path: Path) -> set[str]:
    """Headings of a page as mkdocs names them."""
    text = path.read_text(encoding="utf-8")
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")
        for heading in re.findall(r"(?m)^#+ (.*)$", text)
    }


def test_every_link_leads_somewhere(pages: list[Any]) -> None:
    broken: list[tuple[str, str]] = []
    links = [(page, link) for page in pages for link in LINK.findall(page.prose)]
    assert len(links) > 60
    for page, link in links:
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append((page.name, link))
    assert broken == []


def is_told(name: str) -> bool:
    """Whether a dotted name is a metric, an attribute, a field of a heartbeat, or code."""
    known = {value for value in vars(semconv).values() if isinstance(value, str)}
    if name in known or name in FILES:
        return True
    first, _, rest = name.partition(".")
    if first != "tokenbeat":
        return False
    schema = json.loads((ROOT / "docs" / "heartbeat.schema.json").read_text(encoding="utf-8"))
    if f'"{rest.partition(".")[0]}"' in json.dumps(schema):
        return True
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_every_name_in_the_text_exists(pages: list[Any]) -> None:
    named = {(page.name, name) for page in pages for name in NAME.findall(page.prose)}
    assert len(named) > 40
    assert sorted(one for one in named if not is_told(one[1])) == []


def test_every_file_and_test_in_the_text_exists(pages: list[Any]) -> None:
    named = {
        (page.name, path, test)
        for page in pages
        for path, test in re.findall(
            r"`((?:tests|src|docs|\.ci)/[\w./-]+\w)(?:::(\w+))?", page.text
        )
    }
    assert named
    gone = [
        (page, path, test)
        for page, path, test in sorted(named)
        if not (ROOT / path).exists()
        or (test and f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert gone == []


def test_every_decision_is_in_the_list_and_in_the_navigation() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "index.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    decisions = [path.name for path in folder.glob("*.md") if path.name != "index.md"]
    assert len(decisions) > 10
    assert [name for name in decisions if f"({name})" not in listed] == []
    assert [name for name in decisions if f"decisions/{name}" not in navigation] == []


def test_the_pictures_are_small_enough_to_load() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 150_000] == []


def test_the_readmes_table_is_the_demos() -> None:
    """The numbers of its first lines are what ``make demo`` prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(
        r"^Tokens by caller and model\n.*?^EQUAL: .*?$", readme, re.MULTILINE | re.DOTALL
    )
    assert shown is not None
    done = subprocess.run(
        [sys.executable, "-m", "tokenbeat.demo", "--once"],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
    missing = [line for line in shown[0].splitlines() if " ".join(line.split()) not in printed]
    assert missing == []
