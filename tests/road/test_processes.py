"""Whole agent processes: started by one line or from code, ended by themselves, signal or fork."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.road.doors import billed, differences, usage_of
from tests.road.processes import ONE_LINE, workplace
from tokenbeat.testing import Answer, ModelServer, Rule, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.road.processes import Workplace
    from tokenbeat.control_plane.live.background import RunningPlane

WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "one line": (ONE_LINE, ()),
    "from code": ((), ("--start",)),
}
"""What stands before the program, and its arguments."""

SERVER_PACKAGES = {
    *("fastapi", "starlette", "uvicorn", "sqlalchemy", "aiosqlite", "alembic", "jinja2", "jwt"),
    *("pydantic_settings", "kubernetes"),
}


@pytest.fixture(scope="module")
def answering() -> Iterator[ModelServer]:
    """Answers the program's questions."""
    calls = (ToolCall(name="ask"), ToolCall(name="ask"))
    rules = (Rule(system_contains="[lead]", turn=0, answers=(Answer(tool_calls=calls),)),)
    with ModelServer() as server:
        server.add(*rules)
        yield server


@pytest.fixture
def work(tmp_path: Path, plane: RunningPlane, answering: ModelServer) -> Iterator[Workplace]:
    with workplace(tmp_path, plane=plane, models=answering) as opened:
        yield opened


@pytest.mark.parametrize("way", WAYS)
def test_a_process_tells_the_bill_at_every_door_and_imports_no_server(
    work: Workplace, way: str
) -> None:
    before, arguments = WAYS[way]
    printed = work.run(*arguments, before=before)
    assert printed.split() == ["asked", "done"]
    bill = billed(work.models.bill)
    assert bill.total_tokens > 0
    assert differences(bill, work.doors()) == []
    assert "/v1/traces" in work.sink.paths
    assert json.loads(work.relay.bodies[-1])["tokenbeat"]["final"] is True
    imported = {name.partition(".")[0] for name in work.modules.read_text().splitlines()}
    assert "langchain_core" in imported
    assert imported & SERVER_PACKAGES == set()


@pytest.mark.parametrize("way", WAYS)
def test_disabled_there_is_no_handler_no_file_and_no_beat(work: Workplace, way: str) -> None:
    before, arguments = WAYS[way]
    work.run(*arguments, before=before, TOKENBEAT_DISABLED="true")
    assert work.models.bill.total_tokens > 0
    assert work.journals == []
    assert work.relay.bodies == []
    assert work.sink.received.levels == {}
    imported = set(work.modules.read_text().splitlines())
    assert "tokenbeat.instrument.langchain.handler" not in imported


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_calls_no_model_leaves_no_trace(work: Workplace, way: str) -> None:
    before, arguments = WAYS[way]
    work.run("--times=0", *arguments, before=before)
    # An explicit start says that this is an agent: it is seen, with nothing spent.
    assert bool(work.relay.bodies) == (way == "from code")
    assert work.journals == []
    assert work.sink.received.levels == {}


def test_sigterm_delivers_what_was_spent_since_the_last_beat(work: Workplace) -> None:
    work.interval_ms = 300_000
    with work.running("--then=wait", before=ONE_LINE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "asked"
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM, complained
    assert differences(billed(work.models.bill), work.doors()) == []
    assert json.loads(work.relay.bodies[-1])["tokenbeat"]["final"] is True


def test_forked_workers_and_their_parent_are_each_delivered_once(work: Workplace) -> None:
    work.run("--then=fork", "--times=1", before=ONE_LINE)
    assert len(work.models.bill.entries) == 4 * 4  # before, two workers, after
    bill = billed(work.models.bill)
    doors = work.doors()
    doors.pop("counters")  # a worker that is killed exports nothing
    assert differences(bill, doors) == []
    rows = usage_of(work.plane.address, work.service, by="incarnation")["rows"]
    assert sorted(row["calls"]["finished"] for row in rows) == [4, 4, 8]
    assert len(work.journals) == 3
