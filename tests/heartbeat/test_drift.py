"""Points against cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

from tokenbeat import semconv
from tokenbeat.heartbeat.drift import DriftCheck
from tokenbeat.telemetry.books import BookSet
from tokenbeat.telemetry.metrics import LedgerMetrics
from tokenbeat.telemetry.options import TelemetryOptions

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def check() -> DriftCheck:
    return DriftCheck()


@pytest.fixture
def provider() -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    return MeterProvider([reader], shutdown_on_exit=False), reader


@pytest.fixture
def collect(rig: Any, check: DriftCheck, provider: Any) -> Callable[[], MetricsData]:
    metrics = LedgerMetrics(
        BookSet(rig.ledger),
        meter_provider=provider[0],
        options=TelemetryOptions(vocabulary="latest", histograms=frozenset()),
        on_snapshot=check.saw,
    )

    def now() -> MetricsData:
        assert metrics is not None
        data = provider[1].get_metrics_data()
        assert isinstance(data, MetricsData)
        return data

    return now


def test_what_was_fed_agrees(rig: Any, check: DriftCheck, collect: Any) -> None:
    assert check.compare(MetricsData(resource_metrics=[])) == {}
    for tokens in (100, 7, 0):
        rig.call(tokens, 20)
        rig.call(tokens, 20, caller="writer", model="claude")
        assert check.compare(collect()) == {}


def test_a_foreign_addition_is_found_once(
    rig: Any, check: DriftCheck, collect: Any, provider: Any
) -> None:
    rig.call(100, 20)
    collect()
    attributes = {
        semconv.INCARNATION: rig.ledger.incarnation,
        semconv.CALLER: "nobody",
        semconv.PROVIDER_NAME: "openai",
    }
    scope = next(iter(provider[0]._meters))
    meter = provider[0].get_meter(scope.name, scope.version, schema_url=scope.schema_url)
    meter.create_counter(semconv.INFERENCE_INPUT_TOKENS, unit="{token}").add(5, attributes)
    assert check.compare(collect()) == {semconv.INFERENCE_INPUT_TOKENS: 5}
    assert check.compare(collect()) == {}, "told once"
    rig.call(1, 1)
    assert check.compare(collect()) == {}, "and still the same"


def test_instruments_that_are_not_compared_are_passed_over(
    rig: Any, check: DriftCheck, collect: Any, provider: Any
) -> None:
    rig.call(100, 20)
    collect()
    scope = next(iter(provider[0]._meters))
    meter = provider[0].get_meter(scope.name, scope.version, schema_url=scope.schema_url)
    meter.create_counter("tokenbeat.something_else").add(5)
    theirs = provider[0].get_meter("application").create_counter(semconv.INFERENCE_INPUT_TOKENS)
    theirs.add(5, {semconv.INCARNATION: rig.ledger.incarnation})
    assert check.compare(collect()) == {}


def test_a_point_that_is_missing_is_found(rig: Any, check: DriftCheck, collect: Any) -> None:
    rig.call(100, 20)
    collect()
    missing = check.compare(MetricsData(resource_metrics=[]))
    assert missing[semconv.INFERENCE_INPUT_TOKENS] == 100
    assert missing[semconv.CALLS] == 1


def test_other_books_are_compared_from_their_beginning(
    rig: Any, new_rig: Any, check: DriftCheck, collect: Any
) -> None:
    rig.call(100, 20)
    points = collect()
    other = new_rig()
    other.ledger.incarnation = "z" * 16
    check.saw(other.ledger.snapshot())
    assert check.compare(points) == {}
