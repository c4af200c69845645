"""The two secrets: made once, kept from others, never defaulted."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tokenbeat.control_plane.errors import BadSetting
from tokenbeat.control_plane.keys.secrets import ADMIN_KEY_FILE, open_secrets
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_writes_both_for_the_owner_alone_and_the_next_reads_them(
    tmp_path: Path,
) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    first = open_secrets(settings)
    files = sorted((tmp_path / "data").iterdir())
    assert [(file.name, _mode(file)) for file in files] == [
        ("admin.key", 0o600),
        ("signing.secret", 0o600),
    ]
    assert _mode(tmp_path / "data") == 0o700
    assert open_secrets(settings) == first
    assert first.admin_key != first.signing_secret
    assert min(len(first.admin_key), len(first.signing_secret)) >= 64
    assert first.admin_key not in repr(first)
    assert first.signing_secret not in repr(first)


def test_two_data_folders_share_nothing(tmp_path: Path) -> None:
    one, two = (open_secrets(load_settings(data_dir=tmp_path / name)) for name in "ab")
    assert {one.admin_key, one.signing_secret}.isdisjoint({two.admin_key, two.signing_secret})


def test_processes_that_start_at_the_same_time_agree(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(open_secrets, [settings] * 8))
    assert len({(secrets.admin_key, secrets.signing_secret) for secrets in opened}) == 1


def test_given_secrets_come_before_files_and_write_none(tmp_path: Path) -> None:
    given = open_secrets(
        load_settings(data_dir=tmp_path / "data", admin_key="a" * 32, signing_secret="s" * 32)
    )
    assert given.is_admin_key("a" * 32)
    assert not given.is_admin_key("a" * 31 + "é")
    assert not (tmp_path / "data").exists()


def test_a_secret_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    open_secrets(settings)
    (tmp_path / ADMIN_KEY_FILE).chmod(0o640)
    with pytest.raises(BadSetting, match="chmod 600"):
        open_secrets(settings)


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_file_without_a_usable_secret_stops_the_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ADMIN_KEY_FILE
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(BadSetting, match=r"admin\.key"):
        open_secrets(load_settings(data_dir=tmp_path))


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadSetting, match="TOKENBEAT_DATA_DIR"):
        open_secrets(load_settings(data_dir=tmp_path / "file" / "data"))


def test_elsewhere_than_on_loopback_the_keys_must_exist_before_the_start(tmp_path: Path) -> None:
    outside = load_settings(data_dir=tmp_path, host="0.0.0.0")  # noqa: S104 the case under test
    with pytest.raises(BadSetting, match="needs keys that exist"):
        open_secrets(outside)
    assert list(tmp_path.iterdir()) == []
    made = open_secrets(load_settings(data_dir=tmp_path))
    assert open_secrets(outside) == made
