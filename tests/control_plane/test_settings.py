"""Settings of the server: read once, and a bad one stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenbeat.control_plane.errors import BadSetting
from tokenbeat.control_plane.settings import ServerSettings, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.delenv(f"TOKENBEAT_{name.upper()}", raising=False)


def test_by_default_it_listens_on_loopback_keeps_a_file_and_reads_need_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path("/state/tokenbeat/control-plane")
    assert settings.database == "sqlite:////state/tokenbeat/control-plane/tokenbeat.sqlite3"
    assert not settings.reads_need_key
    assert settings.hosts == {"localhost", "127.0.0.1", "::1"}
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert load_settings().data_dir == Path("/home/ann/.local/state/tokenbeat/control-plane")


def test_the_environment_is_read_and_what_is_given_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENBEAT_PORT", "9000")
    monkeypatch.setenv("TOKENBEAT_ALLOWED_HOSTS", "Beat.example, *,")
    monkeypatch.setenv("TOKENBEAT_DATABASE_URL", "postgresql://u:secret@db/beat")
    settings = load_settings()
    assert settings.port == 9000
    assert {"beat.example", "*"} <= settings.hosts
    assert settings.database == "postgresql://u:secret@db/beat"
    assert "u:secret" not in repr(settings)
    assert load_settings(port=9001, allowed_hosts=("a",)).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("ADMIN_KEY", "short secret"),
        ("SIGNING_SECRET", "too short a secret"),
        ("KEY_LIFETIME_DAYS", "0"),
        ("MAX_BEAT_INCREASE", "1e10"),
        ("MAX_CELLS", ""),
        ("OPEN_READS", "perhaps"),
        ("MIN_HEARTBEAT_INTERVAL_MS", "10"),
    ],
)
def test_a_value_that_cannot_be_meant_stops_the_start_with_a_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"TOKENBEAT_{name}", value)
    with pytest.raises(BadSetting) as stopped:
        load_settings()
    assert stopped.value.setting == f"TOKENBEAT_{name}"
    line = str(stopped.value)
    assert line.startswith(f"TOKENBEAT_{name}: ")
    assert "\n" not in line
    assert "secret" not in line.replace("TOKENBEAT_SIGNING_SECRET", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_these_hosts_are_loopback(host: str) -> None:
    assert load_settings(host=host).on_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "beat.example", "fe80::1"])  # noqa: S104 the case under test
def test_other_hosts_are_not_and_reads_need_a_key_there(host: str) -> None:
    settings = load_settings(host=host)
    assert not settings.on_loopback
    assert settings.reads_need_key
    with pytest.raises(BadSetting, match="TOKENBEAT_OPEN_READS"):
        load_settings(host=host, open_reads=True)


def test_the_bound_name_is_allowed_and_a_wildcard_is_no_name() -> None:
    assert "10.1.2.3" in load_settings(host="10.1.2.3").hosts
    assert load_settings(host="0.0.0.0").hosts == {"localhost", "127.0.0.1", "::1"}  # noqa: S104 the case under test
