"""``make demo``: five numbers, each from its own door, equal; and unequal for a planted fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tokenbeat.demo import doors
from tokenbeat.demo.processes import environment
from tokenbeat.demo.script import LEAD, RESEARCHER, TITLE, WRITER
from tokenbeat.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ONE_CONVERSATION = {
    ("gpt-4o-2024-08-06", LEAD): 412 + 58 + 903 + 71 + 1_268 + 164,
    ("claude-sonnet-4-5-20250929", RESEARCHER): 2 * (530 + 44 + 688 + 213),
    ("gpt-4o-mini-2024-07-18", WRITER): 341 + 252,
    ("gpt-4.1-nano-2025-04-14", TITLE): 37 + 6,
}


def demo(
    *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokenbeat.demo", "--once", *arguments], capture_output=True,
        text=True, timeout=300, check=False, env={**os.environ, **(variables or {})},
    )  # fmt: skip


def cells(door: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(cell["model"], cell["caller"]): cell["tokens"] for cell in door["cells"]}


def test_one_agent_is_counted_the_same_at_five_doors_by_model_and_caller() -> None:
    done = demo("--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["equal"] is True
    assert list(told["doors"]) == list(doors.DOORS)
    for door in told["doors"].values():
        # The ledger, the counters and the control plane would be wrong together with the bill only
        # if the script were: its numbers stand here a second time.
        assert cells(door) == ONE_CONVERSATION
        assert door["total"] == sum(ONE_CONVERSATION.values())
    assert "EQUAL: bill = ledger = counters = heartbeats = control-plane" in done.stderr


def test_twenty_parallel_runs_in_one_process_are_counted_the_same_at_five_doors() -> None:
    done = demo("--json", "--parallel", "20")
    assert done.returncode == 0, done.stderr
    for door in json.loads(done.stdout)["doors"].values():
        assert cells(door) == {cell: 20 * tokens for cell, tokens in ONE_CONVERSATION.items()}


@pytest.mark.parametrize("door", doors.DOORS)
def test_a_fault_at_one_door_is_seen_at_that_door(door: str) -> None:
    done = demo("--json", "--fault", door)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["equal"] is False
    good = [name for name, said in told["doors"].items() if cells(said) == ONE_CONVERSATION]
    assert good == [name for name in doors.DOORS if name != door]
    assert "NOT EQUAL: " in done.stderr


def test_a_live_run_has_four_numbers_and_talks_to_the_endpoint_that_was_named() -> None:
    with ModelServer() as endpoint:
        done = demo(
            "--json", "--live",
            variables={"OPENAI_API_KEY": "sk-live", "OPENAI_BASE_URL": endpoint.openai_url},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)["doors"]
        assert list(told) == list(doors.DOORS[1:])
        assert {door["total"] for door in told.values()} == {endpoint.bill.total_tokens}


def test_a_live_run_over_its_cap_is_stopped() -> None:
    with ModelServer() as endpoint:
        done = demo(
            "--live", "--cap", "1", "--runs", "50",
            variables={"OPENAI_API_KEY": "sk-live", "OPENAI_BASE_URL": endpoint.openai_url},
        )  # fmt: skip
        spent = endpoint.bill.total_tokens
    assert done.returncode == 2
    assert "the cap is 1" in done.stdout
    assert spent < 50 * 300


def test_a_live_run_without_a_key_says_what_it_needs() -> None:
    done = demo("--live", variables={"OPENAI_API_KEY": ""})
    assert (done.returncode, "needs OPENAI_API_KEY" in done.stdout) == (2, True)


def test_no_key_of_the_environment_reaches_the_demos_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GH_TOKEN", "OTEL_SDK_DISABLED"):
        monkeypatch.setenv(name, "mine")
    assert "mine" not in environment({"A": "b"}).values()
    assert environment({"OPENAI_API_KEY": "demo"})["OPENAI_API_KEY"] == "demo"


@pytest.fixture
def open_demo() -> Iterator[subprocess.Popen[str]]:
    # A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenbeat.demo"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    with process:
        yield process
        if process.poll() is None:
            process.terminate()


def test_the_page_stays_open_until_it_is_interrupted(open_demo: subprocess.Popen[str]) -> None:
    assert open_demo.stdout is not None
    said: list[str] = []
    for line in open_demo.stdout:
        said.append(line)
        if "until Ctrl-C" in line:
            break
    text = "".join(said)
    page = next(word for word in text.split() if word.startswith("http://"))
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", page).status == 200
    open_demo.send_signal(signal.SIGINT)
    assert open_demo.wait(30) == 0
    assert "EQUAL" in text
    assert all(len(line.rstrip("\n")) <= 80 for line in said if "│" in line or "lead" in line)
