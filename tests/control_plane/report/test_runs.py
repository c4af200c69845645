"""Runs, added up over their parts and over the processes that took part."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from tokenbeat.control_plane.report import schemas
from tokenbeat.usage.call import CellKey

NOW = datetime(2026, 4, 1, 12, 0, 30, tzinfo=timezone.utc)
FIRST = CellKey("chat", "openai", "gpt-4o", None, None, "lead_agent/subagent:researcher#1")
SECOND = CellKey("chat", "openai", "gpt-4o", None, None, "lead_agent/subagent:researcher#2")


async def seeded(asked: Any, counted: Any) -> None:
    """Run ``a/1`` in two processes, one of them in two parts; run ``b`` later, in one."""
    async with asked.rows() as rows:
        await rows.service("lead")
        await rows.service("helper")
        await rows.incarnation("l1", service="lead")
        await rows.incarnation("h1", service="helper")
        await rows.key("1", FIRST)
        await rows.key("2", SECOND)
        start = NOW - timedelta(minutes=9)
        await rows.run(
            "a/1",
            incarnation="l1",
            status="success",
            started_at=start,
            ended_at=start + timedelta(minutes=2),
            thread="t",
            root_agent="lead",
            user_name="ada",
            labels={"team": "x"},
        )
        await rows.run(
            "a/1",
            incarnation="l1",
            part=77,
            status="success",
            started_at=start,
            ended_at=start + timedelta(minutes=3),
            late=True,
        )
        await rows.run(
            "a/1", incarnation="h1", status="error", started_at=start + timedelta(minutes=1)
        )
        await rows.run_cell("1", counted(ok=1, input_tokens=10), run="a/1", incarnation="l1")
        await rows.run_cell(
            "1", counted(ok=1, input_tokens=20), run="a/1", incarnation="l1", part=77
        )
        await rows.run_cell("2", counted(ok=1, output_tokens=5), run="a/1", incarnation="h1")
        await rows.run("b", incarnation="h1", started_at=NOW)


async def test_a_run_is_the_sum_of_its_parts_and_processes(asked: Any, counted: Any) -> None:
    await seeded(asked, counted)
    run = await asked.json("runs/a/1")
    schemas.RunReport.model_validate(run)
    assert run["services"] == ["helper", "lead"]
    assert run["totals"]["tokens"]["total"] == 35
    assert run["totals"]["calls"]["finished"] == 3
    assert [(row["caller"], row["tokens"]["total"]) for row in run["rows"]] == [
        ("lead_agent/subagent:researcher#1", 30),
        ("lead_agent/subagent:researcher#2", 5),
    ]
    assert len(run["parts"]) == 3


async def test_status_and_end_are_those_of_the_process_that_opened_the_run(
    asked: Any, counted: Any
) -> None:
    await seeded(asked, counted)
    run = await asked.json("runs/a/1")
    assert (run["status"], run["endedAt"]) == ("success", "2026-04-01T11:54:30.000Z")
    assert (run["thread"], run["rootAgent"], run["user"]) == ("t", "lead", "ada")
    assert run["labels"] == {"team": "x"}
    assert run["late"] is True


async def test_runs_are_listed_latest_first_and_by_service(asked: Any, counted: Any) -> None:
    await seeded(asked, counted)
    listed = await asked.json("runs")
    schemas.RunList.model_validate(listed)
    assert [(run["run"], run["tokens"]["total"]) for run in listed["runs"]] == [
        ("b", 0),
        ("a/1", 35),
    ]
    assert [run["run"] for run in (await asked.json("runs?limit=1&offset=1"))["runs"]] == ["a/1"]
    assert [run["run"] for run in (await asked.json("runs?service=lead"))["runs"]] == ["a/1"]
    both = await asked.json("runs?service=helper")
    assert [run["run"] for run in both["runs"]] == ["b", "a/1"]


async def test_a_report_by_run_tells_what_was_spent_inside_runs(asked: Any, counted: Any) -> None:
    await seeded(asked, counted)
    report = await asked.json("usage?by=run,caller")
    assert [(row["run"], row["caller"], row["tokens"]["total"]) for row in report["rows"]] == [
        ("a/1", "lead_agent/subagent:researcher#1", 30),
        ("a/1", "lead_agent/subagent:researcher#2", 5),
    ]
    assert report["totals"]["tokens"]["total"] == 35
