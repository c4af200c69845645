"""Scopes and their spans in the OpenTelemetry context."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tokenbeat.attribution import close_scope, current_scope, enter, leave, open_scope
from tokenbeat.usage.caller import UNATTRIBUTED, CallerStep

if TYPE_CHECKING:
    from tokenbeat.attribution import Scope


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return provider.get_tracer("test")


def made(name: str = "x", *, parent: Scope | None = None, span: Any = None) -> Scope:
    scope = open_scope(
        "tool", name, parent=parent, base=UNATTRIBUTED if parent is None else parent.caller,
        steps=(CallerStep("tool", name),), started_ns=1, announced=False,
    )  # fmt: skip
    scope.span = span
    return scope


def id_of(span: trace.Span) -> int:
    return span.get_span_context().span_id


def parent_id(span: trace.Span) -> int | None:
    """The id of the span that a span was started in."""
    assert isinstance(span, ReadableSpan)
    return None if span.parent is None else span.parent.span_id


def test_entering_and_leaving_restores_what_was_there() -> None:
    before = otel_context.get_current()
    scope = made()
    enter(scope)
    assert current_scope() is scope
    leave(scope)
    assert otel_context.get_current() is before
    close_scope(scope)
    assert current_scope() is None


def test_a_span_is_current_with_its_scope(tracer: trace.Tracer) -> None:
    span = tracer.start_span("outer")
    scope = made(span=span)
    enter(scope)
    assert id_of(trace.get_current_span()) == id_of(span)
    inner = tracer.start_span("inner")
    assert parent_id(inner) == id_of(span)
    close_scope(scope)
    assert id_of(trace.get_current_span()) == 0


def test_what_lies_above_a_scope_is_left_alone() -> None:
    scope = made()
    enter(scope)
    otel_context.attach(otel_context.set_value("theirs", 1))
    close_scope(scope)
    assert otel_context.get_value("theirs") == 1
    assert current_scope() is None


async def test_a_span_that_ended_elsewhere_is_nobodys_parent(tracer: trace.Tracer) -> None:
    """LangChain ends asynchronous runs in a task of its own."""
    with tracer.start_as_current_span("request") as request:
        for _ in range(3):
            span = tracer.start_span("call")
            scope = made(span=span)
            enter(scope)
            span.end()

            async def end(scope: Scope = scope) -> None:
                close_scope(scope)

            await asyncio.create_task(end())
            assert id_of(trace.get_current_span()) == id_of(request)
            later = tracer.start_span("later")
            assert parent_id(later) == id_of(request)


async def test_many_calls_in_one_task_keep_nothing_of_each_other(tracer: trace.Tracer) -> None:
    kept: list[weakref.ref[Any]] = []

    class Watched:
        pass

    async def end(scope: Scope) -> None:
        close_scope(scope)

    for _ in range(20):
        scope = made(span=tracer.start_span("call"))
        scope.tallies = Watched()
        kept.append(weakref.ref(scope.tallies))
        enter(scope)
        await asyncio.create_task(end(scope))
        del scope
    gc.collect()
    assert sum(ref() is not None for ref in kept) <= 2  # of twenty


def test_a_context_that_got_lost_is_given_the_nearest_span_back(tracer: trace.Tracer) -> None:
    span = tracer.start_span("agent")
    agent = made("agent", span=span)
    node = made("node", parent=agent)

    def elsewhere() -> int:
        enter(node)
        return id_of(trace.get_current_span())

    assert contextvars.Context().run(elsewhere) == id_of(span)


def test_the_users_own_span_between_stays_the_current_one(tracer: trace.Tracer) -> None:
    span = tracer.start_span("agent")
    agent = made("agent", span=span)
    enter(agent)
    with tracer.start_as_current_span("mine") as mine:
        call = made("call", parent=agent)
        enter(call)
        assert id_of(trace.get_current_span()) == id_of(mine)
        close_scope(call)
    close_scope(agent)


def test_a_lent_span_passes_on_what_is_said_to_it(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    span = tracer.start_span("agent")
    other = tracer.start_span("other")
    scope = made(span=span)
    enter(scope)
    lent = trace.get_current_span()
    assert lent.is_recording()
    lent.set_attribute("a", 1)
    lent.set_attributes({"b": 2})
    lent.add_event("e")
    lent.add_link(other.get_span_context())
    lent.update_name("renamed")
    lent.set_status(trace.StatusCode.ERROR)
    lent.record_exception(ValueError())
    close_scope(scope)
    assert not lent.is_recording()
    lent.set_attribute("late", 1)
    span.end()
    (told,) = exported.get_finished_spans()
    assert told.name == "renamed"
    assert told.attributes == {"a": 1, "b": 2}
    assert [event.name for event in told.events] == ["e", "exception"]
    assert len(told.links) == 1
    assert told.status.status_code is trace.StatusCode.ERROR


def test_ending_the_current_span_ends_the_scopes(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    scope = made(span=tracer.start_span("agent"))
    enter(scope)
    trace.get_current_span().end()
    assert [span.name for span in exported.get_finished_spans()] == ["agent"]
    close_scope(scope)


def test_a_closed_scope_is_closed_once() -> None:
    scope = made()
    enter(scope)
    close_scope(scope)
    close_scope(scope, error_type="ValueError")
    assert not scope.open
    assert current_scope() is None
