"""What holds for every test: strict guard, hypothesis profiles, and what CI lets be skipped."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tokenbeat import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# The only reasons for which CI lets a test be skipped; any other skip fails it.
SKIPS_ALLOWED_IN_CI = (
    "platform:",  # this machine's kernel or architecture cannot do it
    "version:",  # this run's Python or library version does not have what is tested
)

settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, database=None, max_examples=50
)
settings.register_profile(
    "dev", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.load_profile("ci" if IN_CI else "dev")


@pytest.fixture(autouse=True)
def strict_guard() -> Iterator[None]:
    """Errors of ours reach the test instead of the log."""
    before = guard.is_strict()
    guard.set_strict(True)
    yield
    guard.set_strict(before)


@pytest.fixture
def lenient_guard() -> Iterator[None]:
    """For tests of what an application sees when something of ours fails."""
    guard.set_strict(False)
    yield
    guard.set_strict(True)


@pytest.fixture
def status_of() -> Iterator[Callable[[int], int]]:
    """Waits 20 s for a forked child and gives its status; one that hangs ends with the test."""
    left: set[int] = set()

    def wait(child: int) -> int:
        left.add(child)
        deadline_s = time.monotonic() + 20
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                left.discard(child)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline_s, "the forked child hangs"
            time.sleep(0.02)

    yield wait
    for child in left:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def pytest_configure(config: pytest.Config) -> None:
    """Errors of ours also reach fixtures that are wider than a test."""
    del config
    guard.set_strict(True)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    longrepr = report.longrepr
    reason = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
    told = reason.removeprefix("Skipped: ")
    if not told.startswith(SKIPS_ALLOWED_IN_CI):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} must run in CI but was skipped: {told}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one, unless its reason is on the list above."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI a file that skips itself as a whole is a failed one likewise."""
    report = yield
    _refuse_skip(report)
    return report
