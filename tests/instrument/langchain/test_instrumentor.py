"""On, off, on again; and what the application sees if anything of ours fails."""

# LangChain's and LangGraph's own generics are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from contextvars import Context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import context as hooks
from langchain_openai import ChatOpenAI
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from pydantic import SecretStr

from tokenbeat import guard
from tokenbeat.instrument.langchain import LangChainInstrumentor
from tokenbeat.instrument.langchain.handler import TokenbeatHandler
from tokenbeat.ledger.process import books
from tokenbeat.settings import AgentSettings
from tokenbeat.testing import Answer, Usage
from tokenbeat.usage.counts import COUNT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.ledger.books import Ledger

Model = Any
Totals = Any
DEFAULTS = AgentSettings.from_env({})


def _hooked() -> list[Any]:
    return [
        entry[0].get()
        for entry in hooks._configure_hooks
        if isinstance(entry[0].get(), TokenbeatHandler)
    ]


@pytest.fixture
def instrumentor(tokenbeat_ledger: Ledger) -> Iterator[LangChainInstrumentor]:
    """Installed by the fixture of the books, which also removes it."""
    instrumentor = LangChainInstrumentor()
    yield instrumentor
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(settings=DEFAULTS)


def test_one_handler_is_installed(instrumentor: LangChainInstrumentor) -> None:
    assert len(_hooked()) == 1
    instrumentor.uninstrument()
    assert _hooked() == []


def test_it_can_be_turned_off_and_on_again(
    instrumentor: LangChainInstrumentor, scripted: Model, said: Model, totals: Totals
) -> None:
    model = scripted(*[said(10, 5) for _ in range(4)])
    model.invoke("counted")
    instrumentor.uninstrument()
    model.invoke("not counted")
    instrumentor.instrument(settings=DEFAULTS)
    model.invoke("counted")
    instrumentor.uninstrument()
    model.invoke("not counted")
    assert (totals()["ok"], totals()["input_tokens"]) == (2, 20)


def test_turned_off_in_the_middle_of_a_run_it_really_stops(  # noqa: PLR0913, PLR0917 fixtures
    instrumentor: LangChainInstrumentor,
    scripted: Model,
    streaming: Model,
    said: Model,
    totals: Totals,
    tokenbeat_ledger: Ledger,
) -> None:
    model = scripted(*[said(10, 5) for _ in range(3)])
    stream = streaming(said(100, 1)).stream("open")
    next(iter(stream))

    def work(_: str) -> str:
        model.invoke("counted")
        instrumentor.uninstrument()
        model.invoke("not counted")
        RunnableLambda(lambda _: model.invoke("nor this")).invoke("x")
        return "done"

    RunnableLambda(work).invoke("x")
    list(stream)
    assert totals() == {
        "ok": 1, "abandoned": 1, "with_usage": 1, "items": 2, "input_tokens": 10,
        "output_tokens": 5,
    }  # fmt: skip
    snapshot = tokenbeat_ledger.snapshot()
    assert snapshot.open == 0
    assert [run.status for run in snapshot.runs] == ["abandoned"]


def test_disabled_it_installs_nothing(instrumentor: LangChainInstrumentor) -> None:
    instrumentor.uninstrument()
    before = list(hooks._configure_hooks)
    threads_on = ThreadingInstrumentor().is_instrumented_by_opentelemetry
    instrumentor.instrument(settings=AgentSettings.from_env({"TOKENBEAT_DISABLED": "true"}))
    assert hooks._configure_hooks == before
    assert ThreadingInstrumentor().is_instrumented_by_opentelemetry == threads_on
    instrumentor.uninstrument()


def test_the_environment_disables_it_too(
    instrumentor: LangChainInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor.uninstrument()
    monkeypatch.setenv("TOKENBEAT_DISABLED", "true")
    instrumentor.instrument()
    assert _hooked() == []
    instrumentor.uninstrument()


def test_threads_are_turned_on_and_off_with_it(instrumentor: LangChainInstrumentor) -> None:
    threads = ThreadingInstrumentor()
    assert threads.is_instrumented_by_opentelemetry
    instrumentor.uninstrument()
    assert not threads.is_instrumented_by_opentelemetry


def test_threads_that_somebody_else_turned_on_stay_on(
    instrumentor: LangChainInstrumentor,
) -> None:
    instrumentor.uninstrument()
    threads = ThreadingInstrumentor()
    threads.instrument()
    try:
        instrumentor.instrument(settings=DEFAULTS)
        instrumentor.uninstrument()
        assert threads.is_instrumented_by_opentelemetry
    finally:
        threads.uninstrument()


def test_without_langchain_the_loader_is_told_what_is_missing() -> None:
    """The auto-loader passes over a ``ModuleNotFoundError``; any other error would stop it."""
    program = """
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "langchain_core":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Missing())
        import tokenbeat.instrument.langchain as package
        try:
            package.LangChainInstrumentor().instrument()
        except ModuleNotFoundError as error:
            print(error.name)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == ["langchain_core"]


def test_importing_it_loads_no_langchain() -> None:
    program = (
        "import sys, tokenbeat.instrument.langchain, tokenbeat.attribution;"
        "print([m for m in sys.modules if m.split('.')[0] in ('langchain_core', 'langgraph')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_every_thread_and_empty_context_is_heard(
    scripted: Model, said: Model, totals: Totals
) -> None:
    model = scripted(*[said(10, 5) for _ in range(2)])
    thread = threading.Thread(target=lambda: model.invoke("hi"))
    thread.start()
    thread.join()
    Context().run(model.invoke, "hi")
    assert totals()["ok"] == 2


@pytest.mark.usefixtures("lenient_guard")
def test_an_error_of_ours_never_reaches_the_application(
    scripted: Model, said: Model, tokenbeat_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**facts: Any) -> Any:
        msg = "the books are on fire"
        raise RuntimeError(msg)

    # The one thing that is replaced: nothing real fails on request.
    monkeypatch.setattr(tokenbeat_ledger, "start", broken)
    before = guard.guarded_errors().get("langchain.on_chat_model_start", 0)
    answer = RunnableLambda(lambda _: scripted(said(10, 5)).invoke("hi")).invoke("x")
    assert answer.usage_metadata["input_tokens"] == 10
    assert guard.guarded_errors()["langchain.on_chat_model_start"] == before + 1


def test_the_applications_objects_are_not_changed(scripted: Model, said: Model) -> None:
    answer = said(10, 5)
    metadata = {"thread_id": "t", "mine": {"deep": [1]}}
    returned = scripted(answer).invoke("hi", {"metadata": metadata, "tags": ["lead_agent"]})
    assert returned.usage_metadata == answer.usage_metadata
    assert metadata == {"thread_id": "t", "mine": {"deep": [1]}}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_forked_child_counts_its_own_calls_in_books_of_its_own(
    scripted: Model, streaming: Model, said: Model, totals: Totals, tokenbeat_ledger: Ledger
) -> None:
    model = scripted(said(10, 5))
    stream = streaming(said(100, 1)).stream("open in both")
    next(iter(stream))
    reading, writing = os.pipe()

    def fork(_: str) -> str:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return "parent"
        try:
            model.invoke("hi")
            list(stream)
            snapshot = books().snapshot()
            told = f"{snapshot.books.started} {snapshot.books.finished} {snapshot.open}"
            os.write(writing, told.encode())
        finally:
            os._exit(0)

    RunnableLambda(fork).invoke("x")
    os.close(writing)
    assert os.read(reading, 100).decode() == "1 1 0"
    os.close(reading)
    list(stream)
    assert (totals()["ok"], totals()["input_tokens"]) == (1, 100)


def test_a_count_that_nobody_believes_is_unknown_and_noted(
    tokenbeat_ledger: Ledger, instrumentor: LangChainInstrumentor, model_server: Any
) -> None:
    instrumentor.uninstrument()
    instrumentor.instrument(settings=replace(DEFAULTS, max_call_tokens=50))
    model_server.enqueue(*[Answer(usage=Usage(input_tokens=51, output_tokens=7))] * 2)
    url = model_server.openai_url
    model: Any = ChatOpenAI(
        model="gpt-4o", base_url=url, api_key=SecretStr("any"), stream_usage=True
    )
    model.invoke("hello")
    list(model.stream("hello"))
    snapshot = tokenbeat_ledger.snapshot()
    named = dict(zip(COUNT_FIELDS, snapshot.totals, strict=True))
    assert (named["input_tokens"], named["output_tokens"], named["partial"]) == (0, 14, 2)
    assert snapshot.books.anomalies["absurd:input_tokens"] >= 2
