"""Fixtures for suites that test what their agents spend.

pytest loads this module in every suite where the package is installed, so it imports pytest alone:
what a fixture needs is imported when a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.testing.serving import ModelServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register what a suite may set."""
    parser.addini(
        "tokenbeat_strict",
        "Fail a test in which Tokenbeat contained an error of its own (default: false).",
        type="bool",
        default=False,
    )


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A fresh model server with scripted answers and a bill, for one test."""
    from tokenbeat.testing.serving import ModelServer  # noqa: PLC0415 - see the module's sentence

    with ModelServer() as server:
        yield server
