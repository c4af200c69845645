"""The exporter under a reader that the user built."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from tokenbeat.clock import ManualClock
from tokenbeat.heartbeat.exporter import HeartbeatExporter
from tokenbeat.settings import AgentSettings
from tokenbeat.telemetry import install
from tokenbeat.telemetry.options import TelemetryOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenbeat.ledger.books import Ledger

NOTHING = MetricsData(resource_metrics=[])


@pytest.fixture
def settings(server: Any, tmp_path: Path) -> AgentSettings:
    return AgentSettings(
        control_plane_url=server.url, api_key="k", spool_dir=tmp_path, service_name="research"
    )


@pytest.fixture
def exporter(settings: AgentSettings) -> Iterator[HeartbeatExporter]:
    made = HeartbeatExporter(settings=settings)
    yield made
    made.shutdown()


def test_a_failed_export_loses_nothing_and_doubles_nothing_beside_otlp(
    process_books: Ledger, server: Any, call: Any, exporter: HeartbeatExporter
) -> None:
    other = InMemoryMetricReader()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader, other], shutdown_on_exit=False)
    options = TelemetryOptions(vocabulary="latest", histograms=frozenset())
    installed = install(ledger=process_books, options=options, meter_provider=provider)
    server.answer_next(500)
    call(process_books, 100, 20)
    provider.force_flush()
    call(process_books, 100, 20)
    provider.force_flush()
    assert server.receiver.total("tokens.input") == 200
    data = other.get_metrics_data()
    assert data is not None
    exported = [
        getattr(point, "value", None)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "gen_ai.client.inference.usage.input_tokens"
        for point in metric.data.data_points
    ]
    assert exported == [200]
    provider.shutdown()
    installed.uninstall()


def test_the_result_says_what_was_acknowledged(
    process_books: Ledger, server: Any, call: Any, exporter: HeartbeatExporter
) -> None:
    assert exporter.export(NOTHING) is MetricExportResult.SUCCESS
    assert server.requests == [], "no call, no trace"
    call(process_books, 100, 20)
    server.answer_next(200, b"<html>", Content_Type="text/html")
    assert exporter.export(NOTHING) is MetricExportResult.FAILURE
    assert exporter.export(NOTHING) is MetricExportResult.SUCCESS
    assert exporter.force_flush()
    assert exporter.heartbeat_figures().sent == 2


def test_it_stays_out_of_the_chain_of_nonces(
    process_books: Ledger, server: Any, call: Any, exporter: HeartbeatExporter
) -> None:
    call(process_books)
    exporter.export(NOTHING)
    beat = server.requests[0].message["tokenbeat"]
    assert beat["sender"] == "exporter"
    assert "nonce" not in beat


def test_it_asks_for_cumulative_points(exporter: HeartbeatExporter) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    temporality = reader._instrument_class_temporality
    assert set(temporality.values()) == {AggregationTemporality.CUMULATIVE}
    assert Counter in exporter._preferred_temporality  # type: ignore[operator] # always a dict here


def test_its_end_sends_the_final_beat_once(
    process_books: Ledger, server: Any, call: Any, exporter: HeartbeatExporter
) -> None:
    call(process_books)
    exporter.shutdown()
    exporter.shutdown()
    assert [request.message["tokenbeat"]["final"] for request in server.requests] == [True]
    assert exporter.export(NOTHING) is MetricExportResult.FAILURE


def test_with_no_time_left_its_end_sends_nothing(
    process_books: Ledger, server: Any, call: Any, exporter: HeartbeatExporter
) -> None:
    call(process_books)
    exporter.shutdown(timeout_millis=-0.18)
    assert server.requests == []


def test_what_does_not_fit_into_its_time_is_not_there_yet(
    process_books: Ledger, server: Any, call: Any, settings: AgentSettings
) -> None:
    exporter = HeartbeatExporter(settings=settings)
    exporter._clock = clock = ManualClock()
    for number in range(300):
        call(process_books, 10, 1, model=f"model-{number}-{'x' * 200}")

    def late(handler: Any) -> None:
        clock.advance(60_000_000_000)
        handler.answer_as(server.receiver)

    server.otherwise = late
    assert exporter.export(NOTHING) is MetricExportResult.FAILURE
    assert 0 < server.receiver.total("tokens.input") < 3_000
    server.answer_well()
    assert exporter.export(NOTHING) is MetricExportResult.SUCCESS
    assert server.receiver.total("tokens.input") == 3_000
    exporter.shutdown()


def test_a_users_health_goes_out(
    process_books: Ledger, server: Any, call: Any, settings: AgentSettings
) -> None:
    exporter = HeartbeatExporter(settings=settings, health=lambda: {"status": "degraded"})
    call(process_books)
    assert exporter.force_flush()
    assert server.requests[0].message["health"] == {"status": "degraded"}
    exporter.shutdown()


@pytest.mark.parametrize(
    "changes", [{"control_plane_url": None}, {"control_plane_url": "http://tokens.example.com"}]
)
def test_without_a_usable_address_each_export_succeeds(
    process_books: Ledger, call: Any, settings: AgentSettings, changes: dict[str, Any]
) -> None:
    exporter = HeartbeatExporter(settings=replace(settings, **changes))
    call(process_books)
    assert exporter.export(NOTHING) is MetricExportResult.SUCCESS
    assert exporter.force_flush()
    assert exporter.heartbeat_figures().age_s is None
    exporter.shutdown()
