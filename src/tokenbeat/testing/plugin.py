"""Fixtures for suites that test what their agents spend.

pytest loads this module in every suite where the package is installed, so it imports pytest alone:
what a fixture needs is imported when a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.testing.serving import ModelServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register what a suite may set."""
    parser.addini(
        "tokenbeat_strict",
        "Let an error within Tokenbeat itself reach the test instead of the log (default: false).",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let Tokenbeat's own errors reach the tests where the suite has asked for it."""
    if config.getini("tokenbeat_strict"):
        from tokenbeat import guard  # noqa: PLC0415 - see the module's sentence

        before = guard.is_strict()
        guard.set_strict(True)
        config.add_cleanup(lambda: guard.set_strict(before))


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A fresh model server with scripted answers and a bill, for one test."""
    from tokenbeat.testing.serving import ModelServer  # noqa: PLC0415 - see the module's sentence

    with ModelServer() as server:
        yield server


@pytest.fixture
def tokenbeat_ledger() -> Iterator[Ledger]:
    """Empty books for one test, with the counting of LangChain and LangGraph turned on.

    ``tokenbeat.testing.spending(tokenbeat_ledger)`` says what stands in them. The process's own
    books, if it has any, are put back afterwards. The environment's settings are not read.
    """
    from tokenbeat.clock import SYSTEM_CLOCK  # noqa: PLC0415 - see the module's sentence
    from tokenbeat.instrument.langchain import LangChainInstrumentor  # noqa: PLC0415
    from tokenbeat.ledger.books import Ledger  # noqa: PLC0415
    from tokenbeat.ledger.process import new_incarnation, replace_books  # noqa: PLC0415
    from tokenbeat.settings import AgentSettings  # noqa: PLC0415

    ledger = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK, keep_cuts=False)
    before = replace_books(ledger)
    instrumentor = LangChainInstrumentor()
    turned_on = not instrumentor.is_instrumented_by_opentelemetry
    try:
        if turned_on:
            instrumentor.instrument(settings=AgentSettings.from_env({}))
        yield ledger
    finally:
        if turned_on:
            instrumentor.uninstrument()
        replace_books(before)
