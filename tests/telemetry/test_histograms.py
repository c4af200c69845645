"""Histogram values wait for a collection, keep their exemplars, and are never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider

from tokenbeat import semconv
from tokenbeat.ledger.report import CallToken
from tokenbeat.telemetry import TelemetryOptions
from tokenbeat.telemetry.options import HISTOGRAM_GROUPS
from tokenbeat.telemetry.waiting import MOST_WAITING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_call_is_in_the_legacy_histogram_by_type_and_in_the_duration(bench: Any) -> None:
    report = bench.start(agent="lead")
    report.server_address, report.server_port = "api.openai.com", 443
    bench.clock.advance(1_500_000_000)
    bench.end(report, 100, 20)
    points = bench.collect()
    cell = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.agent.name": "lead",
        "server.address": "api.openai.com",
        "server.port": 443,
        "tokenbeat.caller": "lead_agent",
        "tokenbeat.caller.type": "lead_agent",
        "tokenbeat.incarnation": "aaaaaaaaaaaaaaaa",
    }
    tokens = points[semconv.LEGACY_TOKEN_USAGE]
    assert [(p.sum, p.count, dict(p.attributes)) for p in tokens] == [
        (100, 1, {**cell, "gen_ai.token.type": "input"}),
        (20, 1, {**cell, "gen_ai.token.type": "output"}),
    ]
    assert tokens[0].explicit_bounds == semconv.TOKEN_BUCKETS
    (duration,) = points[semconv.INFERENCE_DURATION]
    assert (duration.sum, dict(duration.attributes)) == (1.5, cell)
    assert duration.explicit_bounds == semconv.DURATION_BUCKETS


def test_by_default_the_rest_is_off(bench: Any) -> None:
    report = bench.start()
    report.stream, report.first_chunk_ns, report.last_chunk_ns, report.chunks = True, 1, 5, 3
    bench.end(report, 100, 20)
    names = {name for name in bench.collect() if name.startswith("gen_ai.")}
    assert names == {
        semconv.INFERENCE_INPUT_TOKENS,
        semconv.INFERENCE_OUTPUT_TOKENS,
        semconv.LEGACY_TOKEN_USAGE,
        semconv.INFERENCE_DURATION,
    }


def test_waits_of_streams_are_told_under_both_names_where_that_is_asked(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(options=TelemetryOptions(histograms=HISTOGRAM_GROUPS))
    report = bench.start()
    report.stream, report.chunks = True, 5
    bench.clock.advance(250_000_000)
    report.first_chunk_ns = bench.clock.monotonic_ns()
    bench.clock.advance(1_000_000_000)
    report.last_chunk_ns = bench.clock.monotonic_ns()
    bench.end(report, 100, 20)
    points = bench.collect()
    for first, per_chunk, duration in (
        (
            semconv.INFERENCE_TIME_TO_FIRST_CHUNK,
            semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK,
            semconv.INFERENCE_DURATION,
        ),
        (
            semconv.LEGACY_TIME_TO_FIRST_CHUNK,
            semconv.LEGACY_TIME_PER_OUTPUT_CHUNK,
            semconv.OPERATION_DURATION,
        ),
    ):
        assert [p.sum for p in points[first]] == [0.25]
        assert [p.sum for p in points[per_chunk]] == [0.25]
        assert [p.sum for p in points[duration]] == [1.25]


def test_a_stream_of_one_chunk_has_no_time_per_chunk(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(options=TelemetryOptions(histograms=frozenset({"chunks"})))
    report = bench.start()
    report.stream, report.chunks = True, 1
    report.first_chunk_ns = report.last_chunk_ns = bench.clock.monotonic_ns()
    bench.end(report, 100, 20)
    points = bench.collect()
    assert semconv.INFERENCE_TIME_TO_FIRST_CHUNK in points
    assert semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK not in points


def test_embeddings_are_no_inference_and_take_the_duration_of_operations(bench: Any) -> None:
    bench.call(7, None, operation="embeddings")
    points = bench.collect()
    assert semconv.INFERENCE_DURATION not in points
    assert [p.sum for p in points[semconv.OPERATION_DURATION]] == [2.0]
    # Nobody told an output: it is not 0.
    assert [p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]] == [7]


def test_an_envelope_and_a_cached_response_take_no_time(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    inner = bench.start(source="openai", token=token)
    bench.end(inner, 100, 20)
    bench.end(outer, 100, 20)
    bench.call(100, 20, cached=True)
    points = bench.collect()
    assert sum(p.count for p in points[semconv.INFERENCE_DURATION]) == 1
    assert sum(p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]) == 120


def test_a_failed_attempt_has_a_duration_with_its_error_and_no_tokens(bench: Any) -> None:
    bench.call(outcome="error", error_type="RateLimit")
    points = bench.collect()
    (duration,) = points[semconv.INFERENCE_DURATION]
    assert duration.attributes["error.type"] == "RateLimit"
    assert semconv.LEGACY_TOKEN_USAGE not in points


def test_an_exemplar_is_the_span_of_its_own_call(bench: Any) -> None:
    first, second = bench.call(3, 0), bench.call(30, 0)
    (inputs, _) = sorted(
        bench.collect()[semconv.LEGACY_TOKEN_USAGE],
        key=lambda p: str(p.attributes["gen_ai.token.type"]),
    )
    assert {e.value: (e.trace_id, e.span_id) for e in inputs.exemplars} == {
        3: (first.span.ids.trace_id, first.span.ids.span_id),
        30: (second.span.ids.trace_id, second.span.ids.span_id),
    }


def test_a_value_without_a_span_takes_no_strangers_exemplar(bench: Any) -> None:
    bench.ledger.unsubscribe(bench.installed.spans)
    bench.call(3, 1)
    with bench.tracer_provider.get_tracer("application").start_as_current_span("stranger"):
        points = bench.collect()
    assert [list(p.exemplars) for p in points[semconv.LEGACY_TOKEN_USAGE]] == [[], []]


def test_a_full_room_records_the_oldest_and_loses_nothing(bench: Any) -> None:
    calls = MOST_WAITING + 50  # each call keeps two things: tokens and duration
    for _ in range(calls):
        bench.end(bench.start(), 3, 2)
    assert len(bench.installed.metrics.recorder.room) == MOST_WAITING
    points = bench.collect()
    assert sum(p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]) == 5 * calls
    assert sum(p.count for p in points[semconv.INFERENCE_DURATION]) == calls
    assert len(bench.installed.metrics.recorder.room) == 0


def test_without_any_reader_the_room_stays_bounded(bench: Any) -> None:
    silent = MeterProvider(shutdown_on_exit=False)
    bench.meter_provider, before = silent, bench.meter_provider
    bench.installed.uninstall()
    bench.install()
    for _ in range(MOST_WAITING):
        bench.end(bench.start(), 3, 2)
    assert len(bench.installed.metrics.recorder.room) == MOST_WAITING
    bench.installed.uninstall()
    before.shutdown()


def test_what_waits_is_recorded_when_telemetry_stops(bench: Any) -> None:
    bench.call(100, 20)
    bench.installed.uninstall()
    assert sum(p.sum for p in bench.collect()[semconv.LEGACY_TOKEN_USAGE]) == 120


def test_many_hosts_are_folded_and_their_sums_stay_exact(bench: Any) -> None:
    for number in range(1_850):
        report = bench.start()
        report.server_address = f"host-{number}"
        bench.end(report, 1, None)
    points = bench.collect()[semconv.LEGACY_TOKEN_USAGE]
    assert sum(p.sum for p in points) == 1_850
    assert len(points) == 1_801
    assert sum(p.sum for p in points if p.attributes["tokenbeat.caller"] == "other") == 50
