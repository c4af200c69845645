"""The key: from a file or the environment, never shown, never sent again once refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.heartbeat.keys import Keys, key_reader

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    read = key_reader(file=file, key="from-environment")
    assert read() == "from-environment"
    file.write_text(" from-file\n", encoding="utf-8")
    assert read() == "from-file"
    file.write_bytes(b"\xff\xfe")
    assert read() == "from-environment"
    assert key_reader(file=None, key=None)() is None


def test_a_new_key_in_the_file_is_taken_without_asking_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one", encoding="utf-8")
    keys = Keys(key_reader(file=file, key=None))
    assert keys.current() == "one"
    assert not keys.refuse(now_ns=0)
    assert not keys.usable(now_ns=1)
    file.write_text("two", encoding="utf-8")
    assert keys.usable(now_ns=2)
    assert keys.current() == "two"
    assert keys.usable(now_ns=3)


def test_no_key_at_all_may_be_tried(tmp_path: Path) -> None:
    keys = Keys(key_reader(file=tmp_path / "none", key=None))
    assert keys.usable(now_ns=0)
    assert keys.current() is None
    keys.refuse(now_ns=0)
    assert not keys.usable(now_ns=1)


def test_it_does_not_show_the_key() -> None:
    assert "secret" not in repr(Keys(lambda: "secret"))
