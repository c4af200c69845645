"""start, flush and stop in one process; what the environment asks for and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tokenbeat
from tokenbeat.ledger.process import books, replace_books
from tokenbeat.ledger.replay import replay
from tokenbeat.usage.caller import UNATTRIBUTED
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER", "TOKENBEAT_CONTROL_PLANE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOKENBEAT_SPOOL_DIR", str(tmp_path))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "svc")
    before = replace_books(None)
    yield
    tokenbeat.stop()
    replace_books(before)


def call(tokens: int) -> None:
    ledger = books()
    report = ledger.start(
        source="test", operation="chat", provider="p", request_model="m", caller=UNATTRIBUTED
    )
    ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=tokens))


def journals(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.journal"))


def test_after_the_start_every_call_is_in_a_journal_of_the_service(tmp_path: Path) -> None:
    tokenbeat.start()
    assert journals(tmp_path) == []
    call(7)
    (journal,) = journals(tmp_path)
    assert journal.parent.name == "svc"
    assert replay(journal).accounts.totals == books().snapshot().totals


def test_starting_twice_is_starting_once(tmp_path: Path) -> None:
    tokenbeat.start()
    tokenbeat.start()
    call(7)
    assert len(journals(tmp_path)) == 1
    assert books().snapshot().totals[10] == 7


def test_disabled_leaves_nothing_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKENBEAT_DISABLED", "true")
    tokenbeat.start()
    assert books().journal is None
    call(7)
    assert journals(tmp_path) == []
    assert tokenbeat.flush() is True


def test_without_a_control_plane_no_windows_are_kept_and_a_flush_has_nothing_to_do() -> None:
    tokenbeat.start()
    assert books().acknowledging is False
    call(7)
    assert tokenbeat.flush() is True


def test_an_address_given_in_code_is_used_and_nobody_there_is_told_by_the_flush(
    lenient_guard: None,
) -> None:
    del lenient_guard
    tokenbeat.start(control_plane_url="http://127.0.0.1:9/", api_key="key")
    assert books().acknowledging is True
    call(7)
    assert tokenbeat.flush(0.5) is False


def test_a_stop_enters_open_calls_as_unfinished_and_a_new_start_counts_on() -> None:
    tokenbeat.start()
    books().start(
        source="test", operation="chat", provider="p", request_model="m", caller=UNATTRIBUTED
    )
    tokenbeat.stop()
    tokenbeat.stop()
    assert books().snapshot().totals[4] == 1
    tokenbeat.start()
    call(7)
    assert books().snapshot().totals[10] == 7


def test_the_few_public_names_are_there_and_others_are_not() -> None:
    assert set(tokenbeat.__all__) <= set(dir(tokenbeat))
    assert all(callable(getattr(tokenbeat, name)) for name in tokenbeat.__all__)
    assert tokenbeat.__version__.count(".") >= 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tokenbeat.nothing


def test_a_setting_that_nobody_can_mean_never_stops_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENBEAT_HEARTBEAT_INTERVAL", "soon")
    monkeypatch.setenv("TOKENBEAT_HISTOGRAMS", "everything")
    monkeypatch.setenv("TOKENBEAT_CONTROL_PLANE_URL", "not an address")
    tokenbeat.start()
    call(7)
    assert books().snapshot().totals[10] == 7
