"""The reader: off the application's provider, on its own thread, in one process and its forks."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tokenbeat.heartbeat.beating import Beating
from tokenbeat.heartbeat.reader import HeartbeatReader
from tokenbeat.settings import AgentSettings
from tokenbeat.usage.counts import INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.metrics import CallbackOptions, Observation

    from tokenbeat.ledger.books import Ledger


@pytest.fixture
def settings(server: Any, tmp_path: Path) -> AgentSettings:
    return AgentSettings(
        control_plane_url=server.url,
        api_key="secret-key",
        heartbeat_interval_ms=30_000,
        spool_dir=tmp_path,
        service_name="research",
    )


@pytest.fixture
def new_reader(settings: AgentSettings) -> Iterator[Callable[..., HeartbeatReader]]:
    built: list[HeartbeatReader] = []

    def make(**changes: Any) -> HeartbeatReader:
        built.append(HeartbeatReader(settings=replace(settings, **changes)))
        return built[-1]

    yield make
    for reader in built:
        reader.shutdown()


def test_the_first_beat_goes_with_the_first_call(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    assert HeartbeatReader.of_process() is reader
    assert not server.requests
    call(process_books, 100, 20)
    server.wait_for(1)
    beat = server.requests[0].message["tokenbeat"]
    assert beat["service"]["name"] == "research"
    assert beat["incarnation"] == process_books.incarnation
    assert beat["cuts"][-1]["cells"][0]["tokens"] == {"input": 100, "output": 20}
    assert server.requests[0].headers["Authorization"] == "Bearer secret-key"


def test_a_process_that_makes_no_call_sends_nothing(
    process_books: Ledger, server: Any, new_reader: Any
) -> None:
    new_reader().shutdown()
    assert server.requests == []


def test_an_explicit_start_beats_without_a_call(
    process_books: Ledger, server: Any, new_reader: Any
) -> None:
    reader = new_reader()
    reader.begin()
    reader.begin()
    server.wait_for(1)
    reader.shutdown()
    assert [request.message["tokenbeat"]["final"] for request in server.requests] == [False, True]


def test_it_takes_itself_off_the_applications_provider(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader, other = new_reader(), InMemoryMetricReader()
    provider = MeterProvider([reader, other], shutdown_on_exit=False)
    seen: list[str] = []

    def observe(_: CallbackOptions) -> list[Observation]:
        seen.append("asked")
        return []

    meter = provider.get_meter("application")
    meter.create_observable_gauge("app.gauge", callbacks=[observe])
    call(process_books)
    assert provider.force_flush()
    server.wait_for(1)
    assert server.receiver.total("tokens.input") == 100
    assert seen == ["asked"], "once for the other reader, never for ours"
    call(process_books)
    provider.shutdown()
    assert server.receiver.total("tokens.input") == 200
    assert server.requests[-1].message["tokenbeat"]["final"] is True
    reader.shutdown()


def test_a_flush_delivers_what_was_counted_before(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    for number in range(300):
        call(process_books, 10, 1, model=f"model-{number}-{'x' * 200}", run=f"run-{number}")
    assert reader.force_flush(10_000)
    assert server.receiver.total("tokens.input") == 3_000
    assert server.receiver.run_total("tokens.input") == 3_000
    assert len(server.requests) > 1


def test_a_flush_says_when_nothing_arrived(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    server.answer_always(503)
    reader = new_reader()
    call(process_books)
    assert not reader.force_flush(5_000)
    figures = reader.heartbeat_figures()
    assert (figures.sent, figures.undelivered_tokens) == (0, 120)
    assert figures.failed >= 1


def test_a_second_reader_stays_idle(process_books: Ledger, new_reader: Any) -> None:
    first, second = new_reader(), new_reader()
    assert first.beats
    assert not second.beats
    assert second.force_flush()


def test_stop_then_start_works(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    new_reader().shutdown()
    assert HeartbeatReader.of_process() is None
    again = new_reader()
    call(process_books)
    assert again.force_flush()
    assert server.receiver.total("tokens.input") == 100


@pytest.mark.parametrize(
    "changes",
    [
        {"control_plane_url": None},
        {"disabled": True},
        {"sender": "sidecar"},
        {"control_plane_url": "http://tokens.example.com"},
        {"control_plane_url": "ftp://tokens.example.com"},
    ],
)
def test_where_nothing_can_be_sent_it_stays_idle(new_reader: Any, changes: dict[str, Any]) -> None:
    reader = new_reader(**changes)
    assert not reader.beats
    reader.begin()
    assert reader.force_flush()
    assert HeartbeatReader.of_process() is None
    assert MeterProvider([reader], shutdown_on_exit=False).force_flush()


def test_the_constructor_never_raises(
    lenient_guard: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object = None) -> AgentSettings:
        raise NotImplementedError

    monkeypatch.setattr(AgentSettings, "from_env", broken)
    with caplog.at_level(logging.ERROR):
        reader = HeartbeatReader()
    assert not reader.beats
    assert "NotImplementedError" in caplog.text


def test_a_hanging_health_callable_does_not_stop_the_beats(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    ever = threading.Event()
    reader = new_reader()
    reader.begin(health=lambda: {"status": "ready", "hung": ever.wait(60)})
    call(process_books)
    assert reader.force_flush()
    assert server.receiver.total("tokens.input") == 100
    assert server.requests[-1].message["health"]["agentName"] == "research"
    ever.set()


def test_a_users_health_goes_out(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    reader.begin(health=lambda: {"status": "degraded", "summary": {"passed": 0}})
    server.wait_for(1)
    assert server.requests[0].message["health"]["status"] == "degraded"


def test_the_points_of_each_collection_agree_with_the_books(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    for tokens in (100, 250, 3):
        call(process_books, tokens, 20)
        assert reader.force_flush()
    assert process_books.snapshot().books.anomalies == {}
    assert server.requests[-1].message["tokenbeat"]["books"]["drift"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_forked_child_beats_for_itself_alone(
    process_books: Ledger,
    server: Any,
    call: Any,
    new_reader: Any,
    status_of: Callable[[int], int],
) -> None:
    reader = new_reader()
    call(process_books, 100, 20)
    assert reader.force_flush()
    child = os.fork()
    if child == 0:
        from tokenbeat.ledger.process import books  # noqa: PLC0415 the child's own

        code = 1
        try:
            call(books(), 7, 1)
            reader.force_flush(10_000)
            reader.shutdown()
            code = 0
        finally:
            os._exit(code)
    assert status_of(child) == 0
    call(process_books, 30, 2)
    assert reader.force_flush()
    assert len(server.receiver.state) == 2
    by_incarnation = {
        incarnation: sum(cell["tokens.input"] for cell in one["cells"].values())
        for incarnation, one in server.receiver.state.items()
    }
    assert by_incarnation.pop(process_books.incarnation) == 130
    assert list(by_incarnation.values()) == [7]
    assert process_books.snapshot().totals[INPUT] == 130


def test_a_difference_between_points_and_books_is_an_anomaly_and_changes_no_number(
    process_books: Ledger, server: Any, call: Any, new_reader: Any, caplog: Any
) -> None:
    reader = new_reader()
    call(process_books, 100, 20)
    assert reader.force_flush()
    scope = next(iter(reader._private._provider._meters))
    meter = reader._private._provider.get_meter(
        scope.name, scope.version, schema_url=scope.schema_url
    )
    name = "gen_ai.client.inference.usage.input_tokens"
    counter = meter.create_counter(name, unit="{token}")
    counter.add(5, {"tokenbeat.incarnation": process_books.incarnation, "tokenbeat.caller": "x"})
    with caplog.at_level(logging.ERROR):
        assert reader.force_flush()
    assert server.requests[-1].message["tokenbeat"]["books"]["drift"] == 1
    assert server.receiver.total("tokens.input") == 100
    assert f"{name} by 5" in caplog.text


def test_its_figures_are_those_of_the_sender(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    call(process_books, 100, 20)
    assert reader.force_flush()
    figures = reader.heartbeat_figures()
    assert figures.sent >= 1
    assert (figures.failed, figures.undelivered_tokens) == (0, 0)
    idle = new_reader(control_plane_url=None)
    assert idle.heartbeat_figures().age_s is None


def test_the_built_in_entry_point_finds_it() -> None:
    found = [
        entry.load()
        for entry in entry_points(group="opentelemetry_metrics_exporter")
        if entry.name == "tokenbeat"
    ]
    assert found == [HeartbeatReader]


def test_a_service_without_a_name_is_warned_about(
    process_books: Ledger, new_reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        new_reader(service_name="unknown_service")
    assert "OTEL_SERVICE_NAME" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_fork_in_the_middle_of_a_request_leaves_a_child_that_beats(
    process_books: Ledger,
    server: Any,
    call: Any,
    new_reader: Any,
    status_of: Callable[[int], int],
) -> None:
    reader, gate = new_reader(), threading.Event()
    server.wait_before_answering(gate)
    call(process_books, 100, 20)
    deadline_s = time.monotonic() + 20
    while not server.requests:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    child = os.fork()
    if child == 0:
        from tokenbeat.ledger.process import books  # noqa: PLC0415 the child's own

        code = 1
        try:
            call(books(), 7, 1)
            if reader.force_flush(15_000):
                code = 0
        finally:
            os._exit(code)
    gate.set()
    assert status_of(child) == 0
    assert reader.force_flush()
    assert server.receiver.total("tokens.input") == 107


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_fork_after_the_end_begins_nothing(
    process_books: Ledger, server: Any, new_reader: Any, status_of: Callable[[int], int]
) -> None:
    reader = new_reader()
    reader.shutdown()
    child = os.fork()
    if child == 0:
        os._exit(int(reader.beats or HeartbeatReader.of_process() is not None))
    assert status_of(child) == 0
    assert server.requests == []


def test_a_provider_that_is_not_the_sdks_is_left_alone(
    process_books: Ledger, server: Any, call: Any, new_reader: Any
) -> None:
    reader = new_reader()
    reader._set_meter_provider(NoOpMeterProvider())
    call(process_books)
    assert reader.force_flush()
    assert server.receiver.total("tokens.input") == 100


def test_a_flush_that_fails_says_that_nothing_is_sure(
    lenient_guard: None,
    process_books: Ledger,
    new_reader: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object, *, timeout_s: float) -> bool:
        raise NotImplementedError  # an error of ours, which no call from outside brings about

    reader = new_reader()
    monkeypatch.setattr(Beating, "flush", broken)
    assert not reader.force_flush()
