"""A ledger, real SDK providers that keep what leaves in memory, and scripted calls."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tokenbeat import telemetry
from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.telemetry import TelemetryOptions
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.trace import ReadableSpan

    from tokenbeat.ledger.report import Report
    from tokenbeat.telemetry import Installed
    from tokenbeat.usage.call import Outcome

LEAD = Caller().child("lead_agent", "lead_agent")
INCARNATION = "aaaaaaaaaaaaaaaa"


def points_of(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """One collection: every data point by the metric's name."""
    data = reader.get_metrics_data()
    found: dict[str, list[Any]] = {}
    for resource in () if data is None else data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found.setdefault(metric.name, []).extend(metric.data.data_points)
    return found


@dataclass
class Bench:
    """One ledger with everything that shows it."""

    incarnation: str = INCARNATION
    options: TelemetryOptions = field(default_factory=TelemetryOptions)
    clock: ManualClock = field(default_factory=ManualClock)
    books: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.ledger = Ledger(incarnation=self.incarnation, clock=self.clock, **self.books)
        self.reader = InMemoryMetricReader()
        self.second_reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider(
            metric_readers=[self.reader, self.second_reader], shutdown_on_exit=False
        )
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.installed = self.install()

    def install(self, **changed: Any) -> Installed:
        self.installed = telemetry.install(
            ledger=self.ledger,
            options=changed.get("options", self.options),
            meter_provider=self.meter_provider,
            tracer_provider=self.tracer_provider,
            clock=self.clock,
        )
        return self.installed

    def start(self, **facts: Any) -> Report:
        facts.setdefault("source", "langchain")
        facts.setdefault("operation", "chat")
        facts.setdefault("provider", "openai")
        facts.setdefault("request_model", "gpt-4o")
        facts.setdefault("caller", LEAD)
        return self.ledger.start(**facts)

    def end(
        self,
        report: Report,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        outcome: Outcome = "ok",
        **facts: Any,
    ) -> None:
        parts = {name: facts.pop(name) for name in list(facts) if name.endswith("_tokens")}
        usage = None
        if input_tokens is not None or output_tokens is not None or parts:
            usage = TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens, **parts)
        self.ledger.end(report, outcome=outcome, usage=usage, **facts)

    def call(
        self, input_tokens: int | None = None, output_tokens: int | None = None, **facts: Any
    ) -> Report:
        at_start = {
            name: facts.pop(name)
            for name in list(facts)
            if name
            in {"source", "operation", "provider", "request_model", "caller", "agent", "run",
                "inside", "token", "member_of", "scope"}
        }  # fmt: skip
        report = self.start(**at_start)
        self.clock.advance(2_000_000_000)
        self.end(report, input_tokens, output_tokens, **facts)
        return report

    def collect(self, reader: InMemoryMetricReader | None = None) -> dict[str, list[Any]]:
        """One collection of the first reader, or of another one."""
        return points_of(self.reader if reader is None else reader)

    def total(self, name: str, **attributes: str) -> int:
        """The sum of a metric's points in a new collection."""
        return sum(
            point.value
            for point in self.collect().get(name, [])
            if attributes.items() <= dict(point.attributes).items()
        )

    def spans(self) -> dict[str, ReadableSpan]:
        """Ended spans by name; a name that stands twice fails."""
        spans = self.exporter.get_finished_spans()
        names = [span.name for span in spans]
        assert len(set(names)) == len(names), names
        return {span.name: span for span in spans}

    def close(self) -> None:
        self.installed.uninstall()
        self.meter_provider.shutdown()
        self.tracer_provider.shutdown()


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Makes benches, and clears them away after the test."""
    made: list[Bench] = []

    def make(**facts: Any) -> Bench:
        bench = Bench(**facts)
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A ledger shown with the default options."""
    return make_bench()


@pytest.fixture(scope="session")
def bench_for_one() -> Callable[..., AbstractContextManager[Bench]]:
    """For laws: a bench of its own for each example."""

    @contextmanager
    def one(**facts: Any) -> Generator[Bench]:
        bench = Bench(**facts)
        try:
            yield bench
        finally:
            bench.close()

    return one
