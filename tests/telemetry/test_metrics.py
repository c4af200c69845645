"""What the books say arrives in the SDK's points: each token once, whatever is collected when."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tokenbeat import semconv
from tokenbeat.guard import contained
from tokenbeat.ledger.books import Ledger
from tokenbeat.telemetry import BookSet, HeartbeatFigures, LedgerMetrics, TelemetryOptions
from tokenbeat.usage.caller import UNATTRIBUTED, Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import CallbackOptions

INCARNATION = "aaaaaaaaaaaaaaaa"


def value_of(points: list[Any], **attributes: str) -> int:
    """The one point that has these attributes."""
    wanted = {name.replace("__", "."): value for name, value in attributes.items()}
    found = [p for p in points if wanted.items() <= dict(p.attributes).items()]
    assert len(found) == 1, found
    return int(found[0].value)


def test_a_process_that_made_no_call_exports_nothing(bench: Any) -> None:
    assert bench.collect() == {}


def test_a_call_is_in_the_next_collection_under_its_cell(bench: Any) -> None:
    researcher = Caller().child("lead_agent", "lead_agent").child("subagent", "researcher")
    bench.call(
        100, 20, cache_read_tokens=30, cache_write_tokens=10, reasoning_tokens=5,
        caller=researcher, agent="researcher", response_model="gpt-4o-2024-08-06",
    )  # fmt: skip
    points = bench.collect()
    cell = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.agent.name": "researcher",
        "tokenbeat.caller": "lead_agent/subagent:researcher",
        "tokenbeat.caller.type": "subagent",
        "tokenbeat.incarnation": INCARNATION,
    }
    unknown = {**cell, "gen_ai.token.modality": "unknown"}
    for name, value in (
        (semconv.INFERENCE_INPUT_TOKENS, 100),
        (semconv.INFERENCE_OUTPUT_TOKENS, 20),
        (semconv.INFERENCE_CACHE_READ_TOKENS, 30),
        (semconv.INFERENCE_CACHE_WRITE_TOKENS, 10),
        (semconv.INFERENCE_REASONING_TOKENS, 5),
    ):
        assert [(p.value, dict(p.attributes)) for p in points[name]] == [(value, unknown)]
        assert type(points[name][0].value) is int
    assert [(p.value, dict(p.attributes)) for p in points[semconv.CALLS]] == [
        (1, {**cell, "tokenbeat.outcome": "ok"})
    ]
    assert [(p.value, dict(p.attributes)) for p in points[semconv.CALLS_WITH_USAGE]] == [(1, cell)]


def test_absent_facts_are_absent_attributes(bench: Any) -> None:
    bench.call(1, 1, request_model=None, caller=UNATTRIBUTED)
    (point,) = bench.collect()[semconv.INFERENCE_INPUT_TOKENS]
    assert set(point.attributes) == {
        "gen_ai.operation.name", "gen_ai.provider.name", "tokenbeat.caller",
        "tokenbeat.caller.type", "tokenbeat.incarnation", "gen_ai.token.modality",
    }  # fmt: skip
    assert point.attributes["tokenbeat.caller.type"] == "unattributed"


def test_the_sum_over_modalities_is_the_total(bench: Any) -> None:
    bench.call(100, 40, input_audio_tokens=60, input_text_tokens=30, output_audio_tokens=40)
    points = bench.collect()
    by_modality = {
        p.attributes["gen_ai.token.modality"]: p.value
        for p in points[semconv.INFERENCE_INPUT_TOKENS]
    }
    assert by_modality == {"unknown": 10, "text": 30, "audio": 60}
    assert sum(p.value for p in points[semconv.INFERENCE_OUTPUT_TOKENS]) == 40


def test_a_call_of_unknown_usage_shows_zero_tokens_of_unknown_modality(bench: Any) -> None:
    bench.call()
    points = bench.collect()
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 0
    assert value_of(points[semconv.INFERENCE_OUTPUT_TOKENS]) == 0
    assert value_of(points[semconv.CALLS], tokenbeat__outcome="ok") == 1
    # Silence about a part is no 0 of it.
    assert semconv.INFERENCE_CACHE_READ_TOKENS not in points
    assert semconv.CALLS_WITH_USAGE not in points


def test_outcomes_attempts_and_the_unattributed_are_counted(bench: Any) -> None:
    bench.call(1, 1)
    bench.call(2, 0, outcome="error", error_type="Late")
    bench.call(outcome="error", error_type="Refused")
    bench.call(3, 1, caller=UNATTRIBUTED)
    points = bench.collect()
    assert sum(p.value for p in points[semconv.CALLS]) == 3
    assert value_of(points[semconv.CALLS], tokenbeat__outcome="error") == 1
    assert sum(p.value for p in points[semconv.CALLS_ATTEMPTS]) == 4
    assert value_of(points[semconv.CALLS_UNATTRIBUTED]) == 1


def test_a_cached_response_is_a_call_that_billed_nothing(bench: Any) -> None:
    bench.call(100, 20, cached=True)
    points = bench.collect()
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 0
    assert value_of(points[semconv.CALLS_CACHED]) == 1
    cached = points[semconv.CACHED_RESPONSE_TOKENS]
    tokens = {p.attributes["gen_ai.token.type"]: p.value for p in cached}
    assert tokens == {"input": 100, "output": 20}


def test_unclassified_tokens_have_a_counter_of_their_own(bench: Any) -> None:
    bench.call(unclassified_tokens=342)
    points = bench.collect()
    assert value_of(points[semconv.UNCLASSIFIED_TOKENS]) == 342
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 0


def test_anomalies_and_reconciliations_are_told_by_reason(bench: Any) -> None:
    bench.call(1, 1, anomalies=("negative", "negative"))
    bench.ledger.reconcile("untied", 70)
    points = bench.collect()
    assert value_of(points[semconv.ANOMALIES], tokenbeat__reason="negative") == 2
    assert value_of(points[semconv.RECONCILIATION], tokenbeat__reason="untied") == 70


def test_open_calls_and_the_revision_are_gauges(bench: Any) -> None:
    first, _ = bench.start(), bench.start()
    points = bench.collect()
    assert value_of(points[semconv.CALLS_OPEN], tokenbeat__incarnation=INCARNATION) == 2
    bench.end(first, 1, 1)
    points = bench.collect()
    assert value_of(points[semconv.CALLS_OPEN]) == 1
    assert value_of(points[semconv.LEDGER_REVISION]) == bench.ledger.revision


def test_our_first_instrument_is_the_one_whose_callback_feeds_the_others(bench: Any) -> None:
    consumer = bench.meter_provider._measurement_consumer
    assert [i.name for i in consumer._async_instruments] == ["tokenbeat.calls.open"]


def test_what_never_happened_has_no_series(bench: Any) -> None:
    bench.call(100, 20)
    never = {semconv.CELLS_FOLDED, semconv.JOURNAL_ERRORS, semconv.CALLS_UNATTRIBUTED}
    assert never.isdisjoint(bench.collect())


def test_idle_collections_repeat_the_levels(bench: Any) -> None:
    bench.call(100, 20)
    for _ in range(3):
        assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100


def test_a_collection_asks_the_books_for_what_changed(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    snapshot = bench.ledger.snapshot

    def told(*, since: int = 0) -> Any:
        taken = snapshot(since=since)
        asked.append((since, len(taken.cells)))
        return taken

    monkeypatch.setattr(bench.ledger, "snapshot", told)
    bench.call(1, 1, request_model="a")
    bench.call(1, 1, request_model="b")
    bench.collect()
    before = bench.ledger.revision
    bench.call(1, 1, request_model="b")
    bench.collect()
    assert asked == [(0, 2), (before, 1)]


def test_two_readers_agree(bench: Any) -> None:
    other = bench.second_reader
    bench.call(100, 20)
    bench.collect()
    bench.call(50, 10)
    other.get_metrics_data()
    bench.call(7, 3)

    for reader in (other, bench.reader):
        (point,) = bench.collect(reader)[semconv.INFERENCE_INPUT_TOKENS]
        assert point.value == 157


def test_a_raise_is_added_and_nothing_else(bench: Any) -> None:
    report = bench.call(100, None)
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100
    bench.end(report, 100, 20)
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100
    assert bench.total(semconv.INFERENCE_OUTPUT_TOKENS) == 20


def test_a_collection_that_times_out_half_way_doubles_nothing_of_ours(bench: Any) -> None:
    """The SDK adds what an observable counter told in a lost collection to the next one."""
    slow = False

    def plain(_: CallbackOptions) -> list[Observation]:
        return [Observation(bench.ledger.snapshot().totals[10], {})]

    def tardy(_: CallbackOptions) -> list[Observation]:
        until = time.time_ns() + 30_000_000
        while slow and time.time_ns() < until:
            pass
        return [Observation(1, {})]

    # After ours, as where the application makes instruments later.
    meter = bench.meter_provider.get_meter("application")
    meter.create_observable_counter("plain", callbacks=[plain])
    meter.create_observable_gauge("tardy", callbacks=[tardy])
    meter.create_observable_gauge("last", callbacks=[plain])

    seen: list[tuple[int, int]] = []

    def collect() -> None:
        points = bench.collect()
        seen.append(
            (
                sum(p.value for p in points[semconv.INFERENCE_INPUT_TOKENS]),
                value_of(points["plain"]),
            )
        )

    bench.call(100, 20)
    collect()
    for growth in (0, 50):
        if growth:
            bench.call(growth, 0)
        slow = True
        for _ in range(2):
            with pytest.raises(Exception, match="Timed out"):
                bench.reader.collect(timeout_millis=10)
        slow = False
        collect()
    ours, theirs = zip(*seen, strict=True)
    assert ours == (100, 100, 150)
    assert theirs == (100, 300, 450)  # what this design is about


def test_after_uninstall_nothing_is_observed_and_a_second_install_goes_on(bench: Any) -> None:
    bench.call(100, 20)
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100
    bench.installed.uninstall()
    bench.installed.uninstall()
    bench.call(50, 10)
    points = bench.collect()
    assert semconv.CALLS_OPEN not in points
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 100
    bench.install()
    points = bench.collect()
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 150
    assert value_of(points[semconv.CALLS_OPEN]) == 0


def test_what_was_counted_before_an_uninstall_is_in_the_last_collection(bench: Any) -> None:
    bench.call(100, 20)
    bench.installed.uninstall()
    points = bench.collect()
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 100
    assert sum(p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]) == 120


def test_an_installation_gives_way_to_a_newer_one_on_the_same_provider(bench: Any) -> None:
    older = bench.installed
    bench.call(100, 20)
    bench.install()
    older.uninstall()
    bench.call(50, 10)
    points = bench.collect()
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 150
    assert sum(p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]) == 180
    assert len(bench.exporter.get_finished_spans()) == 2


def test_each_provider_is_fed_by_itself(bench: Any) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    snapshots: list[int] = []
    bench.call(100, 20)
    bench.collect()
    private = LedgerMetrics(
        BookSet(bench.ledger),
        meter_provider=provider,
        options=TelemetryOptions(histograms=frozenset()),
        on_snapshot=lambda snapshot: snapshots.append(snapshot.totals[10]),
    )
    points = bench.collect(reader)
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 100
    assert semconv.LEGACY_TOKEN_USAGE not in points
    assert snapshots == [100]
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100
    private.stop()
    provider.shutdown()


def test_books_under_another_incarnation_are_other_series(bench: Any) -> None:
    bench.call(100, 20)
    bench.collect()
    bench.ledger.incarnation = "bbbbbbbbbbbbbbbb"  # as after a clone was found
    bench.call(50, 10)
    points = bench.collect()[semconv.INFERENCE_INPUT_TOKENS]
    assert {p.attributes["tokenbeat.incarnation"]: p.value for p in points} == {
        INCARNATION: 100,
        "bbbbbbbbbbbbbbbb": 150,
    }


def test_without_the_label_no_series_names_an_incarnation(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(options=TelemetryOptions(incarnation_label=False))
    bench.call(100, 20)
    for name, points in bench.collect().items():
        assert not any("tokenbeat.incarnation" in p.attributes for p in points), name


def test_legacy_alone_has_no_counters_of_the_latest_names(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(options=TelemetryOptions(vocabulary="legacy"))
    bench.call(100, 20)
    points = bench.collect()
    assert semconv.INFERENCE_INPUT_TOKENS not in points
    assert sum(p.sum for p in points[semconv.LEGACY_TOKEN_USAGE]) == 120
    assert sum(p.value for p in points[semconv.CALLS]) == 1


def test_recovered_books_are_shown_under_their_own_incarnation(bench: Any) -> None:
    dead = Ledger(incarnation="dddddddddddddddd", clock=bench.clock)
    bench.call(1, 1)
    report = dead.start(
        source="langchain", operation="chat", provider="openai", request_model="gpt-4o",
        caller=UNATTRIBUTED,
    )  # fmt: skip
    bench.end(report)
    dead.close()
    bench.installed.books.add_recovered(dead)
    for _ in range(2):
        data = bench.reader.get_metrics_data()
        scopes = {s.scope.name: s for r in data.resource_metrics for s in r.scope_metrics}
        assert set(scopes) == {"tokenbeat", "tokenbeat.recovered"}
        recovered = {m.name: m.data.data_points for m in scopes["tokenbeat.recovered"].metrics}
        (calls,) = recovered[semconv.CALLS]
        assert (calls.value, calls.attributes["tokenbeat.incarnation"]) == (1, "dddddddddddddddd")
        assert semconv.CALLS_OPEN not in recovered


class Sender:
    """Figures as a heartbeat has them."""

    def __init__(self) -> None:
        self.figures = HeartbeatFigures(sent=0, failed=2, undelivered_tokens=120, age_s=None)

    def heartbeat_figures(self) -> HeartbeatFigures:
        return self.figures


def test_the_figures_of_a_heartbeat_become_metrics(bench: Any) -> None:
    sender = Sender()
    bench.installed.metrics.watch_heartbeat(sender)
    bench.call(100, 20)
    points = bench.collect()
    assert value_of(points[semconv.HEARTBEAT_FAILED]) == 2
    assert value_of(points[semconv.HEARTBEAT_UNDELIVERED_TOKENS]) == 120
    assert semconv.HEARTBEAT_AGE not in points
    sender.figures = HeartbeatFigures(sent=1, failed=2, undelivered_tokens=0, age_s=1.5)
    points = bench.collect()
    assert value_of(points[semconv.HEARTBEAT_SENT]) == 1
    assert value_of(points[semconv.HEARTBEAT_UNDELIVERED_TOKENS]) == 0
    assert points[semconv.HEARTBEAT_AGE][0].value == 1.5


@pytest.mark.usefixtures("lenient_guard")
def test_errors_of_ours_are_told_by_place_and_spoil_no_collection(bench: Any) -> None:
    class Broken:
        def heartbeat_figures(self) -> HeartbeatFigures:
            raise ZeroDivisionError

    place = "tests.telemetry.guarded"
    with contained(place):
        raise ZeroDivisionError
    bench.installed.metrics.watch_heartbeat(Broken())
    bench.call(100, 20)
    bench.collect()
    points = bench.collect()
    errors = points[semconv.GUARDED_ERRORS]
    assert value_of(errors, tokenbeat__place=place) == 1
    assert value_of(errors, tokenbeat__place="telemetry.heartbeat_figures") >= 1
    assert value_of(points[semconv.INFERENCE_INPUT_TOKENS]) == 100


@pytest.mark.usefixtures("lenient_guard")
def test_books_that_cannot_be_read_are_read_at_the_next_collection(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.call(100, 20)
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(bench.ledger, "snapshot", None)
        assert bench.collect() == {}
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100


def test_past_1800_sets_new_callers_are_counted_as_other_and_nothing_is_lost(bench: Any) -> None:
    for number in range(1_000):
        bench.call(1, 0, request_model=f"model-{number}", outcome="ok")
        bench.call(1, 0, request_model=f"model-{number}", outcome="cancelled")
    points = bench.collect()[semconv.CALLS]
    assert sum(p.value for p in points) == 2_000
    assert 1_800 <= len(points) <= 1_905
    assert sum(p.value for p in points if p.attributes["tokenbeat.caller"] == "other") == 200
    bench.call(1, 0, request_model="model-999", outcome="cancelled")
    bench.call(1, 0, request_model="model-0", outcome="ok")
    again = bench.collect()[semconv.CALLS]
    assert len(again) == len(points)
    assert sum(p.value for p in again if p.attributes["tokenbeat.caller"] == "other") == 201
