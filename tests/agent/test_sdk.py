"""The SDK is set up where nobody has, when exporters are named, and never stops the agent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


def told(program: str, variables: Mapping[str, str]) -> dict[str, object]:
    """Runs a program in a process of its own: providers are set once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": "/usr/bin:/bin", **variables},
    )  # fmt: skip
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "log": done.stderr}


PROGRAM = """
import json, logging
logging.basicConfig()
from opentelemetry import metrics, trace
from tokenbeat.agent.sdk import sdk_is_set_up, set_up_sdk
before = sdk_is_set_up()
done = set_up_sdk()
print(json.dumps({"before": before, "done": done, "again": set_up_sdk(),
    "meters": type(metrics.get_meter_provider()).__name__,
    "tracers": type(trace.get_tracer_provider()).__name__}))
"""


def test_named_exporters_are_set_up_once() -> None:
    said = told(PROGRAM, {"OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_EXPORTER": "none"})
    assert (said["before"], said["done"], said["again"]) == (False, True, False)
    assert (said["meters"], said["tracers"]) == ("MeterProvider", "TracerProvider")


@pytest.mark.parametrize("named", [{}, {"OTEL_METRICS_EXPORTER": "none"}])
def test_nobody_asked_for_exporters_and_none_are_set_up(named: dict[str, str]) -> None:
    assert told(PROGRAM, named)["done"] is False


def test_an_exporter_that_does_not_exist_is_logged_and_stops_nothing() -> None:
    said = told(PROGRAM, {"OTEL_METRICS_EXPORTER": "nonesuch"})
    assert said["done"] is False
    assert "could not be set up" in str(said["log"])


def test_what_somebody_else_has_set_up_is_left_alone() -> None:
    program = PROGRAM.replace(
        "before = ",
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\nbefore = ",
    )
    said = told(program, {"OTEL_METRICS_EXPORTER": "console"})
    assert (said["before"], said["done"]) == (True, False)
