"""Each call is one span with the usage of its own leaf, nested as the agents are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tokenbeat import semconv
from tokenbeat.ledger.report import CallToken
from tokenbeat.telemetry import SpanObserver, TelemetryOptions
from tokenbeat.telemetry.call_span import CallSpan
from tokenbeat.telemetry.span_attributes import hashed
from tokenbeat.usage.caller import UNATTRIBUTED, Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def usage_sum(found: Any) -> tuple[int, int]:
    spans = list(found)
    return (
        sum(s.attributes.get(semconv.USAGE_INPUT, 0) for s in spans),
        sum(s.attributes.get(semconv.USAGE_OUTPUT, 0) for s in spans),
    )


def test_a_call_is_a_client_span_with_everything_that_is_known(bench: Any) -> None:
    caller = Caller().child("lead_agent", "lead_agent").child("subagent", "researcher", instance=2)
    run = bench.ledger.open_run("run-1", thread_id="thread-1")
    report = bench.start(caller=caller, agent="researcher", run=run)
    report.server_address, report.server_port = "api.openai.com", 443
    report.request_params = {"gen_ai.request.temperature": 0.5}
    report.finish_reasons = ("stop",)
    report.stream, report.chunks = True, 3
    bench.clock.advance(500_000_000)
    report.first_chunk_ns = bench.clock.monotonic_ns()
    bench.clock.advance(1_500_000_000)
    bench.end(
        report, 100, 20, cache_read_tokens=30, reasoning_tokens=0, input_audio_tokens=60,
        response_model="gpt-4o-2024-08-06", response_id="chatcmpl-1",
    )  # fmt: skip
    span = bench.spans()["chat gpt-4o"]
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 0,  # told as 0; the others were not told
        "gen_ai.usage.audio.input_tokens": 60,
        "gen_ai.agent.name": "researcher",
        "gen_ai.conversation.id": "thread-1",
        "server.address": "api.openai.com",
        "server.port": 443,
        "tokenbeat.caller": "lead_agent/subagent:researcher#2",
        "tokenbeat.run.id": "run-1",
    }
    assert span.end_time - span.start_time == 2_000_000_000
    assert span.status.status_code is StatusCode.UNSET
    scope = span.instrumentation_scope
    assert (scope.name, scope.schema_url) == ("tokenbeat", semconv.SCHEMA_URL_LATEST)
    assert scope.version


def test_a_conversation_that_only_the_source_knows_is_on_the_span(bench: Any) -> None:
    report = bench.start(run=bench.ledger.open_run("run-1"))
    report.conversation_id = "thread-2"
    bench.end(report, 1, 1)
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["gen_ai.conversation.id"] == "thread-2"


def test_a_wall_clock_that_is_set_back_shortens_no_span(bench: Any) -> None:
    report = bench.start()
    bench.clock.advance(1_000_000_000)
    bench.clock.step_wall(-3_600_000_000_000)
    bench.end(report, 1, 1)
    (span,) = bench.exporter.get_finished_spans()
    assert span.end_time - span.start_time == 1_000_000_000


def test_an_error_is_a_type_and_no_text(bench: Any) -> None:
    bench.call(outcome="error", error_type="openai.RateLimitError")
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["error.type"] == "openai.RateLimitError"
    assert span.attributes["tokenbeat.outcome"] == "error"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()


def test_a_cached_response_carries_no_usage(bench: Any) -> None:
    bench.call(100, 20, cached=True)
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["tokenbeat.cached_response"] is True
    assert not any(name.startswith("gen_ai.usage") for name in span.attributes)


def test_partial_usage_says_so(bench: Any) -> None:
    bench.call(100, 5, partial=True, outcome="abandoned")
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["tokenbeat.usage.partial"] is True
    assert span.attributes["tokenbeat.outcome"] == "abandoned"


def test_a_call_without_a_model_is_named_by_its_operation(bench: Any) -> None:
    bench.call(7, None, operation="embeddings", request_model=None)
    (span,) = bench.exporter.get_finished_spans()
    assert span.name == "embeddings"
    assert semconv.REQUEST_MODEL not in span.attributes


def test_ids_leave_hashed_where_that_is_asked(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(options=TelemetryOptions(hash_ids=True))
    run = bench.ledger.open_run("run-1", thread_id="thread-1")
    bench.call(1, 1, run=run)
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["tokenbeat.run.id"] == hashed("run-1")
    assert span.attributes["gen_ai.conversation.id"] == hashed("thread-1")
    assert "run-1" not in span.to_json()
    assert "thread-1" not in span.to_json()


# Envelopes ----------------------------------------------------------------------------------


def test_the_first_report_inside_shares_the_span_and_gives_its_usage(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    inner = bench.start(source="openai", token=token)
    inner.server_address = "api.openai.com"
    bench.end(inner, 100, 20, response_id="chatcmpl-1")
    assert bench.exporter.get_finished_spans() == ()
    bench.end(outer, 100, 20, response_model="gpt-4o")
    (span,) = bench.exporter.get_finished_spans()
    assert usage_sum([span]) == (100, 20)
    assert span.attributes["server.address"] == "api.openai.com"
    assert span.attributes["gen_ai.response.model"] == "gpt-4o"
    assert span.attributes["gen_ai.response.id"] == "chatcmpl-1"


def test_an_envelope_of_an_envelope_shares_one_span(bench: Any) -> None:
    outer = bench.start()
    middle = bench.start(inside=outer)
    inner = bench.start(inside=middle)
    for report in (inner, middle, outer):
        bench.end(report, 100, 20)
    (span,) = bench.exporter.get_finished_spans()
    assert usage_sum([span]) == (100, 20)


def test_a_billed_retry_has_its_own_span_below(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    first = bench.start(source="openai", token=token)
    bench.end(first, 100, 5, outcome="error", error_type="Timeout", partial=True)
    second = bench.start(source="openai", token=token)
    bench.end(second, 100, 20)
    bench.end(outer, 100, 20)
    retry, call = bench.exporter.get_finished_spans()
    assert parent_of(retry) == id_of(call)
    assert retry.kind is SpanKind.CLIENT
    assert usage_sum([retry]) == (100, 20)
    assert usage_sum([call]) == (100, 5)
    assert usage_sum([retry, call]) == tuple(bench.ledger.snapshot().totals[10:12])


def test_usage_that_only_the_envelope_knew_is_on_the_shared_span(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    inner = bench.start(source="openai", token=token)
    bench.end(inner)
    bench.end(outer, 100, 20)
    (span,) = bench.exporter.get_finished_spans()
    assert usage_sum([span]) == (100, 20) == tuple(bench.ledger.snapshot().totals[10:12])


def test_what_an_envelope_used_beyond_its_children_has_a_span_of_its_own(bench: Any) -> None:
    outer = bench.start(request_model="router")
    inner = bench.start(inside=outer, request_model="small")
    bench.end(inner, 100, 20)
    bench.end(outer, 150, 30)
    spans = bench.exporter.get_finished_spans()
    assert len(spans) == 2
    assert usage_sum(spans) == (150, 30) == tuple(bench.ledger.snapshot().totals[10:12])


def test_a_child_that_outlives_its_envelope_still_shows_on_the_span(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    bench.start(source="openai", token=token)  # an abandoned stream: its end never comes
    bench.clock.advance(1_000_000_000)
    bench.end(outer, 100, 20)
    assert bench.exporter.get_finished_spans() == ()
    bench.clock.advance(6_000_000_000)
    bench.collect()
    (span,) = bench.exporter.get_finished_spans()
    assert usage_sum([span]) == (100, 20) == tuple(bench.ledger.snapshot().totals[10:12])
    assert span.end_time - span.start_time == 1_000_000_000


def test_a_held_call_ends_its_span_when_it_is_entered(bench: Any) -> None:
    framework = bench.start(member_of=CallToken())
    wire = bench.start(source="openai", caller=UNATTRIBUTED)
    bench.end(wire, 100, 20)
    assert bench.exporter.get_finished_spans() == ()
    bench.clock.advance(1_100_000_000)
    bench.end(framework, 7, 1)
    bench.collect()
    spans = bench.exporter.get_finished_spans()
    assert usage_sum(spans) == (107, 21)
    assert {s.end_time - s.start_time for s in spans} == {0, 1_100_000_000}


def test_a_call_that_another_source_tells_again_has_usage_on_one_span(bench: Any) -> None:
    response_id = "chatcmpl-Zk3vQ8sLx0Wb7Tn2"
    bench.call(100, 20, response_id=response_id)
    bench.call(100, 20, response_id=response_id, source="openai", caller=UNATTRIBUTED)
    spans = bench.exporter.get_finished_spans()
    assert len(spans) == 2
    assert usage_sum(spans) == (100, 20)


def test_prompts_of_a_batch_each_show_their_request(bench: Any) -> None:
    token = CallToken()
    prompts = [bench.start(member_of=token) for _ in range(2)]
    requests = [bench.start(source="openai", token=token) for _ in range(2)]
    for number, request in enumerate(requests):
        bench.end(request, 100 + number, 20, response_id=f"r{number}")
    for number, prompt in enumerate(reversed(prompts)):
        bench.end(prompt, 100 + number, 20, response_id=f"r{number}")
    assert usage_sum(bench.exporter.get_finished_spans()) == (201, 40)
    assert bench.ledger.snapshot().totals[10:12] == (201, 40)


def test_unsettled_spans_end_when_telemetry_stops(bench: Any) -> None:
    token = CallToken()
    outer = bench.start(member_of=token)
    bench.start(source="openai", token=token)
    bench.end(outer, 100, 20)
    assert bench.exporter.get_finished_spans() == ()
    bench.installed.uninstall()
    assert len(bench.exporter.get_finished_spans()) == 1


def test_an_ended_span_keeps_nothing_alive(bench: Any) -> None:
    report = bench.call(1, 1)
    assert isinstance(report.span, CallSpan)
    assert (report.span.span, report.span.owner, report.span.shown) == (None, None, None)
    assert report.span.ids == bench.exporter.get_finished_spans()[0].get_span_context()


# Who wants no span --------------------------------------------------------------------------


def test_suppressed_instrumentation_suppresses_the_span_and_never_the_count(bench: Any) -> None:
    with suppress_instrumentation():
        bench.call(100, 20)
    plain = otel_context.attach(otel_context.set_value("suppress_instrumentation", True))
    bench.call(50, 10)
    otel_context.detach(plain)
    assert bench.exporter.get_finished_spans() == ()
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 150


def test_a_call_that_another_instrumentation_shows_has_no_second_span(bench: Any) -> None:
    key = pytest.importorskip("opentelemetry.util.genai.invocation").CLIENT_INFERENCE_CONTEXT_KEY
    token = otel_context.attach(otel_context.set_value(key, object()))
    bench.call(100, 20)
    otel_context.detach(token)
    assert bench.exporter.get_finished_spans() == ()
    assert bench.total(semconv.INFERENCE_INPUT_TOKENS) == 100


def test_an_unsampled_call_is_counted_and_exported_nowhere(bench: Any) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    observer = SpanObserver(provider, clock=bench.clock)
    bench.ledger.subscribe(observer)
    bench.installed.uninstall()
    report = bench.call(100, 20)
    assert isinstance(report.span, CallSpan)
    assert bench.ledger.snapshot().totals[10] == 100
    provider.shutdown()
