"""An agent starts whatever its environment says, and says once what it could not read."""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat import environment, settings
from tokenbeat.settings import AgentSettings

NAMES = sorted(name for name in vars(settings) if name.startswith("TOKENBEAT_"))


@pytest.fixture(autouse=True)
def _nothing_named_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_named", set[tuple[str, str]]())


def read(**environ: str) -> AgentSettings:
    return AgentSettings.from_env({"HOME": "/home/someone", **environ})


def test_an_empty_environment_gives_the_defaults(caplog: pytest.LogCaptureFixture) -> None:
    assert read() == AgentSettings(spool_dir=Path("/home/someone/.local/state/tokenbeat"))
    assert read(**dict.fromkeys(NAMES, " ")) == read()
    assert caplog.records == []


def test_every_variable_sets_its_field() -> None:
    assert read(
        TOKENBEAT_DISABLED="true",
        TOKENBEAT_SEMCONV="Latest",
        TOKENBEAT_CONTROL_PLANE_URL="https://tokens.example.com/plane/",
        TOKENBEAT_API_KEY=" tb_secret\n",
        TOKENBEAT_API_KEY_FILE="/run/secrets/key",
        TOKENBEAT_ALLOW_PLAINTEXT="1",
        TOKENBEAT_HEARTBEAT_INTERVAL="5s",
        TOKENBEAT_SPOOL_DIR="/var/spool/tokenbeat",
        TOKENBEAT_JOURNAL_FSYNC="always",
        TOKENBEAT_SPOOL_GROUP="sidecar",
        TOKENBEAT_MAX_CALL_TOKENS="2_000_000",
        TOKENBEAT_HASH_IDS="TRUE",
        TOKENBEAT_PROPAGATE_TO="Peer.example.com, other:8080,",
        TOKENBEAT_SENDER="sidecar",
        TOKENBEAT_HISTOGRAMS="tokens, Duration",
        TOKENBEAT_INCARNATION_LABEL="false",
        OTEL_SERVICE_NAME="research",
        OTEL_RESOURCE_ATTRIBUTES="service.name=not-this,service.namespace=lab%2Ceast,"
        "service.instance.id=pod-1,broken,empty=",
    ) == AgentSettings(
        disabled=True,
        semconv="latest",
        control_plane_url="https://tokens.example.com/plane",
        api_key="tb_secret",
        api_key_file=Path("/run/secrets/key"),
        allow_plaintext=True,
        heartbeat_interval_ms=5_000,
        spool_dir=Path("/var/spool/tokenbeat"),
        journal_fsync="always",
        spool_group="sidecar",
        max_call_tokens=2_000_000,
        hash_ids=True,
        propagate_to=("peer.example.com", "other:8080"),
        sender="sidecar",
        histograms=frozenset({"tokens", "duration"}),
        incarnation_label=False,
        service_name="research",
        service_namespace="lab,east",
        service_instance_id="pod-1",
    )


def test_the_service_is_named_as_opentelemetry_names_it() -> None:
    assert read(OTEL_RESOURCE_ATTRIBUTES="service.name=research").service_name == "research"
    assert read().service_name == "unknown_service"


@pytest.mark.parametrize(
    ("text", "interval_ms"),
    [("250", 250), ("500ms", 500), ("30 s", 30_000), ("2m", 120_000), ("1min", 60_000)],
)
def test_an_interval_has_a_unit_or_is_milliseconds(text: str, interval_ms: int) -> None:
    assert read(TOKENBEAT_HEARTBEAT_INTERVAL=text).heartbeat_interval_ms == interval_ms


@pytest.mark.parametrize("text", ["true", "TRUE", "True", "1"])
def test_only_true_and_1_are_true(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read(TOKENBEAT_DISABLED=text).disabled
    assert not read(TOKENBEAT_DISABLED="false").disabled
    assert not read(TOKENBEAT_DISABLED="0").disabled
    assert caplog.records == []
    assert not read(TOKENBEAT_DISABLED="yes").disabled
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TOKENBEAT_DISABLED", "on"),
        ("TOKENBEAT_SEMCONV", "newest"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "tokens.example.com"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "ftp://tokens.example.com"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "http://:80"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "http://host:port"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "http://[::1"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "http://host/?key=1"),
        ("TOKENBEAT_CONTROL_PLANE_URL", "http://someone@host"),
        ("TOKENBEAT_API_KEY_FILE", "a\0b"),
        ("TOKENBEAT_SPOOL_DIR", "~nobody-of-this-name/spool"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "-1"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "0"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "1.5s"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "3 parsecs"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "1h"),
        ("TOKENBEAT_HEARTBEAT_INTERVAL", "9" * 50),
        ("TOKENBEAT_JOURNAL_FSYNC", "sometimes"),
        ("TOKENBEAT_MAX_CALL_TOKENS", "0"),
        ("TOKENBEAT_MAX_CALL_TOKENS", "1e9"),
        ("TOKENBEAT_MAX_CALL_TOKENS", "9" * 50),
        ("TOKENBEAT_PROPAGATE_TO", "https://peer.example.com/"),
        ("TOKENBEAT_SENDER", "nobody"),
        ("TOKENBEAT_HISTOGRAMS", "tokens,weather"),
        ("TOKENBEAT_INCARNATION_LABEL", "never"),
    ],
)
def test_a_bad_value_is_named_once_and_its_default_used(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert read(**{name: text}) == read()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{name} must be ")


@pytest.mark.parametrize("text", ["two words", "line\nline", "schlüssel"])
def test_a_key_that_fits_no_header_is_refused_and_not_shown(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(TOKENBEAT_API_KEY=text).api_key is None
    assert "TOKENBEAT_API_KEY" in caplog.text
    assert text not in caplog.text


def test_a_password_in_an_address_is_refused_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert read(TOKENBEAT_CONTROL_PLANE_URL="http://me:hunter2@host").control_plane_url is None
    assert "TOKENBEAT_CONTROL_PLANE_URL" in caplog.text
    assert "hunter2" not in caplog.text


def test_no_key_is_shown_by_its_settings() -> None:
    assert "tb_secret" not in repr(read(TOKENBEAT_API_KEY="tb_secret"))


def test_the_spool_is_where_the_users_state_is() -> None:
    assert read(XDG_STATE_HOME="/state").spool_dir == Path("/state/tokenbeat")
    expected = Path("/home/someone/.local/state/tokenbeat")
    assert read(XDG_STATE_HOME="relative").spool_dir == expected
    assert AgentSettings.from_env({}).spool_dir.parts[-3:] == (".local", "state", "tokenbeat")


def test_a_user_without_a_home_has_a_spool_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", dict[int, object]().__getitem__)
    assert AgentSettings.from_env({}).spool_dir.name == f"tokenbeat-{os.getuid()}"


def test_histograms_are_switched_all_at_once_too() -> None:
    assert read(TOKENBEAT_HISTOGRAMS="none").histograms == frozenset()
    assert read(TOKENBEAT_HISTOGRAMS="all").histograms == settings.HISTOGRAM_GROUPS


def test_the_exporters_that_somebody_asked_for_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"OTEL_METRICS_EXPORTER": "otlp, tokenbeat", "OTEL_TRACES_EXPORTER": "none"}
    assert settings.exporters_named(asked) == {"otlp", "tokenbeat"}
    assert settings.exporters_named({}) == frozenset()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    assert "console" in settings.exporters_named()


def test_without_an_argument_the_process_own_environment_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENBEAT_SENDER", "sidecar")
    assert AgentSettings.from_env().sender == "sidecar"


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20)))
def test_no_environment_stops_an_agent(environ: dict[str, str]) -> None:
    assert isinstance(AgentSettings.from_env({"HOME": "/", **environ}), AgentSettings)


def test_each_constant_is_the_name_of_its_variable() -> None:
    assert NAMES
    assert all(getattr(settings, name) == name for name in NAMES)


def test_opentelemetry_instrument_still_starts_with_these_settings_published() -> None:
    # It makes an option of every OTEL_ name of a published module and fails where two are alike.
    assert not [name for name in dir(settings) if name.startswith("OTEL_")]
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    run = subprocess.run(
        [program, "--help"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert run.returncode == 0, run.stderr
    assert "--service_name" in run.stdout


def test_importing_the_settings_imports_nothing_of_anybody_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import tokenbeat.settings;"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['tokenbeat']"
