"""Rules about files that no linter has: length, and nothing of one machine or network in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MOST_LINES = 500
COUNTED = {".py", ".js", ".css", ".html", ".sh", ".toml", ".yaml", ".yml", ".md"}
MADE_BY_TOOLS = ("LICENSE", "CHANGELOG.md")

# Split in two where this file would find itself.
FORBIDDEN = {
    "a package registry or its address": re.compile(
        r"pypi" + r"\.org|python" + r"hosted\.org|registry\.npm" + r"js"
        r"|index-" + r"url|find-" + r"links",
        re.IGNORECASE,
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|root)/"),
}
VAGUE = {"utils", "helpers", "common", "core", "manager", "misc"}


def complaints(path: Path) -> list[str]:
    """What is wrong with one file, as ``path:line: sentence``."""
    found = []
    if path.parts[0] == "src" and VAGUE & {path.stem, *path.parts}:
        found.append(f"{path}:1: a name that says nothing; name it by the word that it serves")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return found
    if path.suffix in COUNTED and path.name not in MADE_BY_TOOLS and len(lines) > MOST_LINES:
        found.append(f"{path}:{MOST_LINES}: {len(lines)} lines, at most {MOST_LINES}; split it")
    for number, line in enumerate(lines, start=1):
        for what, pattern in FORBIDDEN.items():
            if pattern.search(line):
                found.append(f"{path}:{number}: {what}")
    return found


def main() -> int:
    """Look at every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 git of the PATH
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    paths = [Path(name) for name in listed if Path(name).is_file()]
    found = [complaint for path in paths for complaint in complaints(path)]
    print("\n".join(found) or f"{len(paths)} files follow the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
