"""Agents, workflows and tools are spans around their calls, and histograms of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

from tokenbeat import semconv
from tokenbeat.attribution import close_scope, current_scope, enter, leave, open_scope
from tokenbeat.attribution.scope import Scope
from tokenbeat.usage.caller import UNATTRIBUTED, CallerStep

if TYPE_CHECKING:
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


def scoped(kind: Any, name: str, *, parent: Scope | None, **facts: Any) -> Scope:
    return open_scope(
        kind,
        name,
        parent=parent,
        base=UNATTRIBUTED if parent is None else parent.caller,
        started_ns=1,
        **facts,
    )


def test_a_run_reads_as_lead_tool_sub_agent_and_call(bench: Any) -> None:
    run = bench.ledger.open_run("run-1", thread_id="t")
    lead = scoped(
        "lead_agent", "lead_agent", parent=None, run=run, agent="lead", thread_id="t",
        steps=(CallerStep("lead_agent", "lead_agent"),),
    )  # fmt: skip
    enter(lead)
    lead_call = bench.call(10, 1, caller=lead.caller, agent="lead", run=run, scope=lead)
    tool = scoped("tool", "task", parent=lead, tool_call_id="call-1")
    enter(tool)
    sub = scoped(
        "subagent", "researcher", parent=tool, agent="researcher",
        steps=(CallerStep("subagent", "researcher"),),
    )  # fmt: skip
    enter(sub)
    bench.call(
        100, 20, caller=sub.caller, agent="researcher", run=run, scope=sub,
        request_model="claude", cache_read_tokens=30, reasoning_tokens=4,
    )  # fmt: skip
    bench.clock.advance(3_000_000_000)
    for scope in (sub, tool, lead):
        close_scope(scope)
    spans = bench.spans()
    names = [
        "invoke_agent lead", "chat gpt-4o", "execute_tool task", "invoke_agent researcher",
        "chat claude",
    ]  # fmt: skip
    assert set(spans) == set(names)
    tree = {name: parent_of(spans[name]) for name in names}
    assert tree == {
        "invoke_agent lead": None,
        "chat gpt-4o": id_of(spans["invoke_agent lead"]),
        "execute_tool task": id_of(spans["invoke_agent lead"]),
        "invoke_agent researcher": id_of(spans["execute_tool task"]),
        "chat claude": id_of(spans["invoke_agent researcher"]),
    }
    assert lead_call.span is not None
    assert dict(spans["invoke_agent lead"].attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "lead",
        "gen_ai.conversation.id": "t",
        "tokenbeat.run.id": "run-1",
        "tokenbeat.caller": "lead_agent",
        "tokenbeat.usage.calls": 1,
        "tokenbeat.usage.input_tokens": 10,
        "tokenbeat.usage.output_tokens": 1,
    }
    researcher = dict(spans["invoke_agent researcher"].attributes)
    assert researcher["tokenbeat.usage.input_tokens"] == 100
    assert researcher["tokenbeat.usage.cache_read.input_tokens"] == 30
    assert researcher["tokenbeat.usage.reasoning.output_tokens"] == 4
    assert dict(spans["execute_tool task"].attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "task",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.agent.name": "lead",
        "gen_ai.conversation.id": "t",
        "tokenbeat.run.id": "run-1",
        "tokenbeat.caller": "lead_agent",
    }
    assert {s.kind for n, s in spans.items() if not n.startswith("chat")} == {SpanKind.INTERNAL}
    assert usage_sum(s for n, s in spans.items() if n.startswith("chat")) == (110, 21)


def test_the_figures_of_agents_and_tools_are_histograms(bench: Any) -> None:
    lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
    for _ in range(2):
        bench.call(10, 1, scope=lead)
    bench.call(outcome="error", scope=lead)
    bench.call(10, 1, cached=True, scope=lead)
    tool = scoped("tool", "search", parent=lead)
    bench.clock.advance(500_000_000)
    close_scope(tool, error_type="Broken")
    flow = scoped("workflow", "etl", parent=None)
    bench.clock.advance(250_000_000)
    close_scope(flow)
    close_scope(lead)
    points = bench.collect()

    def value(name: str, **attributes: str) -> float:
        (point,) = points[name]
        assert dict(point.attributes) == {
            **{key.replace("__", "."): text for key, text in attributes.items()},
            "tokenbeat.incarnation": "aaaaaaaaaaaaaaaa",
        }
        assert point.count == 1
        return float(point.sum)

    assert value(semconv.INVOKE_AGENT_INFERENCE_CALLS, gen_ai__agent__name="lead") == 2
    assert value(semconv.INVOKE_AGENT_TOOL_CALLS, gen_ai__agent__name="lead") == 1
    assert value(semconv.INVOKE_AGENT_DURATION, gen_ai__agent__name="lead") == 8.75
    assert value(semconv.INVOKE_WORKFLOW_DURATION, gen_ai__workflow__name="etl") == 0.25
    assert value(
        semconv.EXECUTE_TOOL_DURATION, gen_ai__tool__name="search", gen_ai__tool__type="function",
        gen_ai__agent__name="lead", error__type="Broken",
    ) == 0.5  # fmt: skip


def test_a_span_of_the_application_stays_between_agent_and_call(bench: Any) -> None:
    lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
    enter(lead)
    tracer = bench.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("step"):
        bench.call(1, 1, scope=lead)
    close_scope(lead)
    spans = bench.spans()
    assert parent_of(spans["chat gpt-4o"]) == id_of(spans["step"])
    assert parent_of(spans["step"]) == id_of(spans["invoke_agent lead"])


def test_a_callback_from_another_context_is_nested_by_its_scope(bench: Any) -> None:
    lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
    node = scoped("node", "model", parent=lead)
    assert current_scope() is None
    bench.call(1, 1, scope=node)
    close_scope(node)
    close_scope(lead)
    spans = bench.spans()
    assert parent_of(spans["chat gpt-4o"]) == id_of(spans["invoke_agent lead"])
    assert set(spans) == {"chat gpt-4o", "invoke_agent lead"}


def test_the_span_of_a_call_is_current_inside_it(bench: Any) -> None:
    scope = Scope("call", "gpt-4o", parent=None, caller=UNATTRIBUTED, started_ns=1)
    report = bench.start(scope=scope)
    enter(scope)
    assert trace.get_current_span().get_span_context() == report.span.ids
    with bench.tracer_provider.get_tracer("http").start_as_current_span("POST"):
        pass
    leave(scope)
    bench.end(report, 1, 1)
    spans = bench.spans()
    assert parent_of(spans["POST"]) == id_of(spans["chat gpt-4o"])
    assert not trace.get_current_span().is_recording()


def test_suppressed_scopes_have_no_span_and_still_their_figures(bench: Any) -> None:
    with suppress_instrumentation():
        lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
        bench.call(1, 1, scope=lead)
        close_scope(lead)
    assert bench.exporter.get_finished_spans() == ()
    assert bench.collect()[semconv.INVOKE_AGENT_INFERENCE_CALLS][0].sum == 1


def test_a_failed_agent_says_its_type(bench: Any) -> None:
    lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
    close_scope(lead, error_type="ValueError")
    (span,) = bench.exporter.get_finished_spans()
    assert span.attributes["error.type"] == "ValueError"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork here")
def test_a_child_never_ends_a_span_that_its_parent_has_open(bench: Any) -> None:
    lead = scoped("lead_agent", "lead_agent", parent=None, agent="lead")
    report = bench.start(scope=lead)
    child = os.fork()
    if child == 0:
        try:
            bench.end(report, 1, 1)
            close_scope(lead)
            ended = len(bench.exporter.get_finished_spans())
        except BaseException:  # noqa: BLE001 a child of a test must not become a second test run
            os._exit(9)
        os._exit(ended)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    bench.end(report, 1, 1)
    close_scope(lead)
    assert len(bench.exporter.get_finished_spans()) == 2
