"""What must hold for any interleaving of calls, raises and collections of two readers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat import semconv
from tokenbeat.telemetry import TelemetryOptions
from tokenbeat.telemetry.options import HISTOGRAM_GROUPS
from tokenbeat.usage import counts as c
from tokenbeat.usage.caller import UNATTRIBUTED, Caller

if TYPE_CHECKING:
    from collections.abc import Callable

LEAD = Caller().child("lead_agent", "lead_agent")
CALLERS = (LEAD, LEAD.child("subagent", "researcher"), UNATTRIBUTED)
MODELS = ("gpt-4o", "claude", None)


class CallStep(NamedTuple):
    caller: Caller
    model: str | None
    usage: tuple[int | None, ...]
    outcome: str
    cached: bool


class RaiseStep(NamedTuple):
    which: int
    usage: tuple[int | None, ...]


class CollectStep(NamedTuple):
    second: bool


FIELDS = ("input_tokens", "output_tokens", "input_audio_tokens", "cache_read_tokens",
          "reasoning_tokens", "unclassified_tokens")  # fmt: skip


@st.composite
def usages(draw: st.DrawFn) -> tuple[int | None, ...]:
    whole = st.none() | st.integers(0, 10**6)
    input_tokens, output_tokens = draw(whole), draw(whole)

    def part(of: int | None) -> int | None:
        return None if of is None else draw(st.none() | st.integers(0, of))

    return (
        input_tokens, output_tokens, part(input_tokens), part(input_tokens), part(output_tokens),
        draw(st.none() | st.integers(0, 1_000)),
    )  # fmt: skip


STEPS = st.lists(
    st.builds(
        CallStep,
        st.sampled_from(CALLERS),
        st.sampled_from(MODELS),
        usages(),
        st.sampled_from(("ok", "error", "cancelled", "abandoned")),
        st.integers(0, 9).map(lambda n: n == 0),
    )
    | st.builds(RaiseStep, st.integers(0, 5), usages())
    | st.builds(CollectStep, st.booleans()),
    max_size=25,
)

COUNTERS = {
    semconv.INFERENCE_INPUT_TOKENS: c.INPUT,
    semconv.INFERENCE_OUTPUT_TOKENS: c.OUTPUT,
    semconv.INFERENCE_CACHE_READ_TOKENS: c.CACHE_READ,
    semconv.INFERENCE_REASONING_TOKENS: c.REASONING,
    semconv.UNCLASSIFIED_TOKENS: c.UNCLASSIFIED,
    semconv.CALLS_WITH_USAGE: c.WITH_USAGE,
    semconv.CALLS_CACHED: c.CACHED,
}


def cell_of(attributes: Any) -> tuple[str, str | None]:
    return attributes["tokenbeat.caller"], attributes.get("gen_ai.request.model")


def told(fields: tuple[int | None, ...]) -> dict[str, int]:
    return {name: n for name, n in zip(FIELDS, fields, strict=True) if n is not None}


@given(steps=STEPS)
def test_counters_and_histograms_are_the_ledgers_cells(
    bench_for_one: Callable[..., Any], steps: list[Any]
) -> None:
    with bench_for_one(options=TelemetryOptions(histograms=HISTOGRAM_GROUPS)) as bench:
        walk_and_compare(bench, steps)


def walk_and_compare(bench: Any, steps: list[Any]) -> None:
    readers = {False: bench.reader, True: bench.second_reader}
    reports: list[Any] = []
    for step in steps:
        if isinstance(step, CallStep):
            report = bench.start(caller=step.caller, request_model=step.model)
            bench.end(report, outcome=step.outcome, cached=step.cached, **told(step.usage))
            reports.append(report)
        elif isinstance(step, RaiseStep):
            if reports:
                bench.end(reports[step.which % len(reports)], **told(step.usage))
        else:
            bench.collect(readers[step.second])
    snapshot = bench.ledger.snapshot()
    bench.collect()  # what waits is recorded here
    for points in (bench.collect(), bench.collect(bench.second_reader)):
        for name, index in COUNTERS.items():
            counted: Counter[tuple[str, str | None]] = Counter()
            for point in points.get(name, []):
                counted[cell_of(point.attributes)] += point.value
            expected = {
                (cell.key.caller, cell.key.request_model): cell.counts[index]
                for cell in snapshot.cells
                if cell.counts[index]
            }
            assert +counted == expected, name
        finished = sum(point.value for point in points.get(semconv.CALLS, []))
        attempts = sum(point.value for point in points.get(semconv.CALLS_ATTEMPTS, []))
        assert finished == c.finished(snapshot.totals)
        assert attempts == finished + snapshot.totals[c.FAILED_ATTEMPTS]
        sums: Counter[str] = Counter()
        for point in points.get(semconv.LEGACY_TOKEN_USAGE, []):
            sums[str(point.attributes["gen_ai.token.type"])] += point.sum
        assert (sums["input"], sums["output"]) == snapshot.totals[c.INPUT : c.OUTPUT + 1]
        assert (
            sum(p.sum for p in points.get(semconv.OPERATION_INPUT_TOKENS, []))
            == snapshot.totals[c.INPUT]
        )
    spans = bench.exporter.get_finished_spans()
    assert len(spans) == len(reports)


@given(steps=STEPS.map(lambda steps: [s for s in steps if not isinstance(s, RaiseStep)]))
def test_the_sum_over_call_spans_is_the_total(
    bench_for_one: Callable[..., Any], steps: list[Any]
) -> None:
    with bench_for_one() as bench:
        walk_and_sum(bench, steps)


def walk_and_sum(bench: Any, steps: list[Any]) -> None:
    for step in steps:
        if isinstance(step, CallStep):
            report = bench.start(caller=step.caller, request_model=step.model)
            bench.end(report, outcome=step.outcome, cached=step.cached, **told(step.usage))
    totals = bench.ledger.snapshot().totals
    spans = bench.exporter.get_finished_spans()
    for name, index in (
        (semconv.USAGE_INPUT, c.INPUT),
        (semconv.USAGE_OUTPUT, c.OUTPUT),
        (semconv.USAGE_CACHE_READ, c.CACHE_READ),
        (semconv.USAGE_REASONING, c.REASONING),
        (semconv.USAGE_INPUT_AUDIO, c.INPUT_AUDIO),
        (semconv.UNCLASSIFIED_USAGE, c.UNCLASSIFIED),
    ):
        assert sum(span.attributes.get(name, 0) for span in spans) == totals[index], name
