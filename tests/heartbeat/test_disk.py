"""The spool: the journal is synced, AgentSpec's baseline survives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.heartbeat.disk import SpoolDisk
from tokenbeat.ledger.journal import FileJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID = "a" * 16


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournal]:
    made = FileJournal(
        tmp_path / "research" / f"{ID}.0.journal", incarnation=ID, service="research", started_ns=1
    )
    yield made
    made.close()


def test_a_baseline_comes_back(journal: FileJournal, tmp_path: Path) -> None:
    disk = SpoolDisk(journal, folder=tmp_path / "research")
    assert disk.load_baseline(ID) is None
    disk.save_baseline(ID, {"openai/gpt-4o": (1, 2, 3, 2**60)})
    disk.save_baseline(ID, {"openai/gpt-4o": (4, 5, 9, 2**60)})
    disk.sync()
    assert SpoolDisk(None, folder=tmp_path / "research").load_baseline(ID) == {
        "openai/gpt-4o": (4, 5, 9, 2**60)
    }
    path = tmp_path / "research" / f"{ID}.ack"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_process_without_a_journal_leaves_no_file(tmp_path: Path) -> None:
    disk = SpoolDisk(None, folder=tmp_path / "research")
    disk.sync()
    disk.save_baseline(ID, {"m": (1, 2, 3, 4)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"models": []}', '{"models": {"m": 1}}', '{"models": {"m": [1, 2]}}',
     '{"models": {"m": [1, 2, 3, 4.5]}}'],
)  # fmt: skip
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{ID}.ack").write_text(text, encoding="utf-8")
    assert SpoolDisk(None, folder=tmp_path).load_baseline(ID) is None


def test_no_link_is_followed(journal: FileJournal, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("precious", encoding="utf-8")
    folder = tmp_path / "research"
    folder.mkdir()
    (folder / f"{ID}.ack.new").symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        SpoolDisk(journal, folder=folder).save_baseline(ID, {"m": (1, 2, 3, 4)})
    assert target.read_text(encoding="utf-8") == "precious"
