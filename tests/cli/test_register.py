"""``tokenbeat register`` makes keys that a real control plane takes."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tokenbeat.cli.asking import Server
from tokenbeat.cli.errors import UnusableFile
from tokenbeat.cli.register import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Known:
    """A control plane of this machine, and its admin key."""

    url: str
    admin_key: Path


@pytest.fixture(scope="module")
def known(start_plane: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Known:
    state = tmp_path_factory.mktemp("state")
    data = state / "tokenbeat" / "control-plane"
    return Known(start_plane("--data-dir", data).url, data / "admin.key")


@pytest.fixture
def url(known: Known, monkeypatch: pytest.MonkeyPatch) -> str:
    """The control plane's address, on a machine where it left its admin key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(known.admin_key.parents[2]))
    return known.url


IDLE = {"health": {"status": "ready"}, "gap": {}}


def beat(url: str, key: str) -> int:
    answer = httpx.post(
        f"{url}/api/v1/heartbeat", json=IDLE, headers={"Authorization": f"Bearer {key}"}
    )
    return answer.status_code


def test_the_key_alone_is_on_standard_output(tokenbeat: Callable[..., Any], url: str) -> None:
    done = tokenbeat("register", "research", "--url", url)
    assert done.code == 0
    assert done.out.count("\n") == 1
    assert done.err.startswith("Key of research, valid until ")
    assert beat(url, done.out.strip()) < 300
    assert beat(url, "another") == 401


def test_a_key_file_is_written_whole_and_for_its_owner_alone(
    tokenbeat: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys" / "research"
    file.parent.mkdir()
    keys: list[str] = []
    for _ in range(2):
        done = tokenbeat("register", "research", "--url", url, "--key-file", file)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Key of research is in {file}, valid until ")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        keys.append(file.read_text().strip())
        assert keys[-1] not in done.out
    assert list(file.parent.iterdir()) == [file]
    assert [beat(url, key) == 401 for key in keys] == [True, False]


def test_json_tells_what_a_script_needs(
    tokenbeat: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    told = tokenbeat("register", "fleet-1", "--fleet", "--url", url, "--json").json
    assert told["service"] == "fleet-1"
    assert told["agentId"].startswith("flt_")
    assert beat(url, told["apiKey"]) != 401
    file = tmp_path / "key"
    told = tokenbeat("register", "r", "--url", url, "--json", "--key-file", file).json
    assert set(told) == {"service", "agentId", "expiresAt", "keyFile"}
    assert told["keyFile"] == str(file)


def test_a_name_is_made_one_that_the_control_plane_takes(
    tokenbeat: Callable[..., Any], url: str
) -> None:
    done = tokenbeat("register", "Research_Agent", "--url", url)
    assert done.code == 0
    assert "'Research_Agent' is called 'research-agent'" in done.err


def test_the_admin_key_comes_from_a_file_a_variable_or_this_machine(
    tokenbeat: Callable[..., Any], known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, file = known.url, known.admin_key
    done = tokenbeat("register", "r", "--url", url)
    assert done.code == 2
    assert done.err.startswith("tokenbeat: --admin-key-file: is needed (or TOKENBEAT_ADMIN_KEY): ")
    assert "is the server's data folder another one?" in done.err
    assert tokenbeat("register", "r", "--url", url, "--admin-key-file", file).code == 0
    monkeypatch.setenv("TOKENBEAT_ADMIN_KEY", file.read_text().strip())
    assert tokenbeat("register", "r", "--url", url).code == 0
    monkeypatch.setenv("TOKENBEAT_ADMIN_KEY", "wrong")
    done = tokenbeat("register", "r", "--url", url)
    assert done.code == 1
    assert done.err == "tokenbeat: the control plane refuses (403): wrong admin key\n"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "schlüssel".encode()])
def test_an_admin_key_file_that_cannot_be_read_is_named(
    tokenbeat: Callable[..., Any], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "admin.key"
    if content is not None:
        file.write_bytes(content)
    done = tokenbeat("register", "r", "--admin-key-file", file)
    assert done.code == 1
    assert done.err.startswith(f"tokenbeat: {file}: ")


def test_no_key_goes_over_plain_http_through_a_network(
    tokenbeat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENBEAT_ADMIN_KEY", "k" * 32)
    done = tokenbeat("register", "r", "--url", "http://tokens.example.invalid")
    assert done.code == 2
    assert done.err.startswith("tokenbeat: --url: the admin key would go over plain http; ")
    monkeypatch.setenv("TOKENBEAT_ALLOW_PLAINTEXT", "true")
    assert tokenbeat("register", "r", "--url", "http://tokens.example.invalid").code == 1


def test_another_machine_never_gets_this_machines_admin_key(
    tokenbeat: Callable[..., Any], url: str
) -> None:
    assert url  # this machine has an admin key
    done = tokenbeat("register", "r", "--url", "https://tokens.example.invalid")
    assert done.code == 2
    assert "the control plane is on another machine" in done.err


def test_a_key_that_cannot_be_kept_is_not_made(
    tokenbeat: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    key = tokenbeat("register", "research", "--url", url).out.strip()
    file = tmp_path / "missing" / "key"
    done = tokenbeat("register", "research", "--url", url, "--key-file", file)
    assert done.code == 1
    assert done.err == f"tokenbeat: {file}: its folder is missing\n"
    assert beat(url, key) != 401


def test_a_key_that_could_not_be_written_leaves_no_half_file(
    tokenbeat: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    # A file that is a folder by the time the key is there: a race that no check can win.
    (tmp_path / "key" / "inside").mkdir(parents=True)
    with pytest.raises(UnusableFile) as caught:
        register(
            Server(url),
            "late",
            key_file=tmp_path / "key",
            fleet=False,
            runtime="local",
            as_json=False,
        )
    assert str(caught.value) == f"{tmp_path / 'key'}: Is a directory"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_an_admin_key_that_fits_no_header_is_refused(
    tokenbeat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENBEAT_ADMIN_KEY", "two\nlines")
    done = tokenbeat("register", "r")
    assert done.code == 2
    assert done.err == "tokenbeat: TOKENBEAT_ADMIN_KEY: is not one line of ASCII\n"


def test_a_server_that_is_none_is_told_in_one_line(tokenbeat: Callable[..., Any]) -> None:
    done = tokenbeat("register", "r", "--url", "http://127.0.0.1:1")
    assert done.code == 2  # there is no admin key either, which is found first
    done = tokenbeat("usage", "--url", "http://127.0.0.1:1")
    assert done.code == 1
    assert done.err == "tokenbeat: http://127.0.0.1:1: no answer: Connection refused\n"
