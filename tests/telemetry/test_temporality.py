"""Whoever exports differences is told at the start what that gives up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

from tokenbeat.telemetry.temporality import has_delta_reader, warn_of_delta

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A provider as the SDK makes it when the environment says which temporality."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", str(request.param))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint="http://127.0.0.1:9/"), export_interval_millis=float("inf")
    )
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.mark.parametrize("made", ["delta", "lowmemory"], indirect=True)
def test_a_reader_of_differences_is_warned_of(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_delta(made)
    assert "delta temporality" in caplog.text


@pytest.mark.parametrize("made", ["cumulative"], indirect=True)
def test_cumulative_readers_are_left_alone(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_delta(made)
    assert caplog.records == []


def test_a_provider_whose_readers_nobody_knows_is_no_reason_to_warn() -> None:
    assert not has_delta_reader(NoOpMeterProvider())
    provider = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    assert not has_delta_reader(provider)
    provider.shutdown()
