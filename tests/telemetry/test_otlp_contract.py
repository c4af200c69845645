"""The OTLP that leaves is the table in ``otlp_contract.yaml``: no name more, none less."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tokenbeat.attribution import close_scope, open_scope
from tokenbeat.guard import contained, set_strict
from tokenbeat.ledger.bounds import Bounds
from tokenbeat.telemetry import HeartbeatFigures, TelemetryOptions
from tokenbeat.telemetry.options import HISTOGRAM_GROUPS
from tokenbeat.usage.caller import UNATTRIBUTED, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONTRACT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "otlp_contract.yaml").read_text(encoding="utf-8")
)
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
LEAD = Caller().child("lead_agent", "lead_agent")


class Sender:
    """A heartbeat that went well twice and badly once."""

    def heartbeat_figures(self) -> HeartbeatFigures:
        return HeartbeatFigures(sent=2, failed=1, undelivered_tokens=5, age_s=0.5)


class FullDisk:
    """A journal on a disk that is full for one record: nothing here fills a real one."""

    def __init__(self) -> None:
        self.bytes_written = 0
        self._failed = False

    def append(self, line: bytes) -> None:
        if not self._failed:
            self._failed = True
            raise OSError
        self.bytes_written += len(line)

    def sync(self) -> None:
        """Nothing to do."""


def play(bench: Any) -> None:
    """Everything that can leave, left once."""
    run = bench.ledger.open_run("run-1", thread_id="thread-1")

    def opened(kind: Any, name: str, parent: Any = None, **facts: Any) -> Any:
        return open_scope(
            kind, name, parent=parent, base=LEAD, started_ns=1, run=run if parent is None else None,
            thread_id="thread-1" if parent is None else None, **facts,
        )  # fmt: skip

    lead = opened("lead_agent", "lead_agent", agent="lead")
    report = bench.start(caller=LEAD, agent="lead", run=run, scope=lead)
    report.server_address, report.server_port = "api.example.com", 8443
    report.request_params = {"gen_ai.request.temperature": 0.5}
    report.finish_reasons = ("stop",)
    report.stream, report.chunks = True, 3
    bench.clock.advance(100_000_000)
    report.first_chunk_ns = bench.clock.monotonic_ns()
    bench.clock.advance(900_000_000)
    report.last_chunk_ns = bench.clock.monotonic_ns()
    bench.end(
        report, 100, 60, cache_read_tokens=30, cache_write_tokens=20, reasoning_tokens=5,
        unclassified_tokens=7, input_text_tokens=10, input_audio_tokens=20, input_image_tokens=30,
        output_text_tokens=10, output_audio_tokens=20, output_image_tokens=5,
        response_model="gpt-4o-2024-08-06", response_id="chatcmpl-1",
    )  # fmt: skip
    bench.call(10, 2, scope=lead, outcome="error", error_type="Late", partial=True, agent="lead")
    bench.call(outcome="error", error_type="Refused", scope=lead)
    bench.call(10, 2, outcome="cancelled", request_model=None, caller=UNATTRIBUTED)
    bench.call(10, 2, outcome="abandoned")
    bench.call(
        40, 8, cached=True, unclassified_tokens=1, agent="lead", response_model="gpt-4o-2024-08-06"
    )
    vectors = bench.start(operation="embeddings", request_model="small", agent="lead")
    vectors.server_address, vectors.server_port = "api.example.com", 8443
    bench.end(vectors, 12, None, outcome="error", error_type="Late", response_model="small-1")
    tool = opened("tool", "search", lead, tool_call_id="call-1")
    close_scope(tool, error_type="Broken")
    close_scope(lead, error_type="Stopped")
    close_scope(opened("workflow", "etl"), error_type="Stopped")
    bench.ledger.anomaly("negative")
    bench.ledger.reconcile("untied", 5)
    bench.call(1, 1, request_model="one-too-many")
    # All of a cell's attributes on each of its metrics.
    for extra in ({"outcome": "error", "error_type": "Late"}, {}):
        served = bench.start(agent="lead")
        served.server_address, served.server_port = "api.example.com", 8443
        bench.end(served, 1, 1, response_model="gpt-4o-2024-08-06", **extra)
    place = contained("tests.contract")
    set_strict(False)
    with place:
        raise ZeroDivisionError
    set_strict(True)
    bench.start()
    bench.ledger.close()  # enters the open call as unfinished
    bench.installed.metrics.watch_heartbeat(Sender())


@pytest.fixture(params=["latest", "legacy", "both"])
def vocabulary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def played(make_bench: Callable[..., Any], vocabulary: str) -> Any:
    bench = make_bench(
        options=TelemetryOptions(vocabulary=vocabulary, histograms=HISTOGRAM_GROUPS),  # type: ignore[arg-type]  # one of three
        books={"journal": FullDisk(), "bounds": Bounds(cells=5)},
    )
    play(bench)
    return bench


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes_of(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def complaints_about_attributes(
    what: str, row: dict[str, Any], found: list[dict[str, Any]]
) -> list[str]:
    """What is wrong with the attributes of all points, or spans, of one row."""
    levels: dict[str, str] = row["attributes"]
    allowed = {**CONTRACT["values"], **row.get("only", {})}
    wrong: list[str] = []
    seen: set[str] = set()
    for attributes in found:
        seen |= attributes.keys()
        wrong += [f"{what}: {name} is not in the table" for name in attributes.keys() - levels]
        wrong += [
            f"{what}: {name} is missing on {attributes}"
            for name, level in levels.items()
            if level == "required" and name not in attributes
        ]
        wrong += [
            f"{what}: {name}={attributes[name]!r}"
            for name, choices in allowed.items()
            if name in attributes and name in row["attributes"] and what not in CONTRACT["spans"]
            if attributes[name] not in choices
        ]
    wrong += [f"{what}: nothing has {name}" for name in levels.keys() - seen]
    return wrong


def complaints(metric: Any, row: dict[str, Any]) -> list[str]:
    """What is wrong with a metric."""
    name, data = metric.name, metric.WhichOneof("data")
    body = getattr(metric, data)
    kind = {"sum": "counter"}.get(data, data)
    wrong: list[str] = []
    if (kind, metric.unit) != (row["kind"], row["unit"]) or not metric.description:
        wrong.append(f"{name}: {kind} {metric.unit}")
    if kind != "gauge" and body.aggregation_temporality != CUMULATIVE:
        wrong.append(f"{name}: not cumulative")
    if kind == "counter" and not body.is_monotonic:
        wrong.append(f"{name}: may fall")
    for point in body.data_points:
        if kind == "histogram":
            if list(point.explicit_bounds) != CONTRACT["buckets"][row["buckets"]]:
                wrong.append(f"{name}: {list(point.explicit_bounds)}")
        elif point.WhichOneof("value") != f"as_{row['number']}":
            wrong.append(f"{name}: {point.WhichOneof('value')}")
    found = [attributes_of(point.attributes) for point in body.data_points]
    return wrong + complaints_about_attributes(name, row, found)


def name_of(pattern: str, attributes: dict[str, Any]) -> str:
    """A span's name by the table: a part whose attribute is unknown is left out."""

    def known(match: re.Match[str]) -> str:
        return f" {attributes[match[1]]}" if match[1] in attributes else ""

    return re.sub(r" ?\{(.*?)\}", known, pattern)


def test_the_metrics_that_leave_are_those_of_the_table(played: Any, vocabulary: str) -> None:
    request = encode_metrics(played.reader.get_metrics_data())
    rows = {name: row for name, row in CONTRACT["metrics"].items() if vocabulary in row["in"]}
    left: dict[str, Any] = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            assert scope.scope.name == CONTRACT["scopes"]["name"]
            assert scope.scope.version
            assert scope.schema_url == CONTRACT["scopes"]["schema"][vocabulary]
            left.update({metric.name: metric for metric in scope.metrics})
    assert set(left) == set(rows)

    assert [c for name, metric in left.items() for c in complaints(metric, rows[name])] == []


def test_the_spans_that_leave_are_those_of_the_table(played: Any, vocabulary: str) -> None:
    played.collect()  # lets what was waiting be entered
    request = encode_spans(played.exporter.get_finished_spans())
    by_operation: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            assert scope.scope.name == CONTRACT["scopes"]["name"]
            assert scope.schema_url == CONTRACT["scopes"]["schema"][vocabulary]
            for span in scope.spans:
                attributes = attributes_of(span.attributes)
                operation = attributes["gen_ai.operation.name"]
                row = CONTRACT["spans"][operation]
                assert span.kind == Span.SpanKind.Value(f"SPAN_KIND_{row['kind'].upper()}")
                assert span.name == name_of(row["name"], attributes)
                assert len(span.events) == 0
                assert span.status.message == ""
                failed = attributes.get("error.type") is not None
                assert (span.status.code == Status.StatusCode.STATUS_CODE_ERROR) == failed
                by_operation[operation].append(attributes)
    assert set(by_operation) == set(CONTRACT["spans"])
    wrong = [
        complaint
        for operation, found in by_operation.items()
        for complaint in complaints_about_attributes(operation, CONTRACT["spans"][operation], found)
    ]
    assert wrong == []
