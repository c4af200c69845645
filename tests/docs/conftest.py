"""Everything that is written for people, as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Page(NamedTuple):
    """A page.

    Attributes:
        path: Where it is.
        text: What it says, examples included.
        prose: What it says, without them.
        blocks: Its examples by language, in their order.
    """

    path: Path
    text: str
    prose: str
    blocks: dict[str, list[str]]

    @property
    def name(self) -> str:
        """Its path from the root."""
        return str(self.path.relative_to(ROOT))


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    blocks: dict[str, list[str]] = {}
    for indent, language, body in FENCE.findall(text):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        blocks.setdefault(language, []).append("\n".join(lines))
    return Page(path, text, FENCE.sub("", text), blocks)


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    """All pages: of the documentation, and beside the source."""
    beside = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    paths = [*(ROOT / name for name in beside), ROOT / "collector-config" / "README.md"]
    return [read(path) for path in [*paths, *sorted((ROOT / "docs").rglob("*.md"))]]
