"""The same heartbeats give the same reports on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

from tokenbeat.usage.counts import COUNT_FIELDS


async def answers(lab: Any, path: str) -> Any:
    reply = await lab.client.get(f"/api/v1/{path}")
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_reports_follow_heartbeats_on_each_database(
    any_lab: Any, beat: Any, cell: Any
) -> None:
    run = {
        "run": "r1",
        "status": "open",
        "startedAt": "2026-04-01T00:00:00.000Z",
        "cells": [cell("lead_agent", 70)],
    }
    first = beat(
        (
            60,
            [cell("lead_agent", 100), cell("unattributed", 5, model="claude-sonnet-4-5-20250929")],
        ),
        (90, [cell("lead_agent", 170)]),
        runs=[run],
        sent=90,
        books={"finished": 4, "undelivered": 12},
    )
    any_lab.clock.advance(90_000_000_000)
    for _ in range(2):  # the second one says nothing new
        assert (await any_lab.send(first)).status_code == 200

    report = await answers(any_lab, "usage?by=model,caller")
    assert [(row["model"], row["caller"], row["tokens"]["total"]) for row in report["rows"]] == [
        ("gpt-4o", "lead_agent", 170),
        ("claude-sonnet-4-5", "unattributed", 5),
    ]
    for bucket, points in (
        ("minute", [("00:01", 105), ("00:02", 70)]),
        ("hour", [("01:00", 175)]),
        ("day", [("00:00", 175)]),
    ):
        series = await answers(any_lab, f"usage/series?bucket={bucket}&by=operation")
        assert [(p["at"][11:16], p["tokens"]["total"]) for p in series["points"]] == points
    since = await answers(any_lab, "usage?by=service&from=2026-04-01T00:01:00Z")
    assert since["totals"]["tokens"]["total"] == 70
    (agent,) = await answers(any_lab, "agents")
    assert agent["totals"]["tokens"]["total"] == 175
    assert (agent["undeliveredCalls"], agent["undeliveredTokens"]) == (2, 12)
    assert (await answers(any_lab, "runs"))["runs"][0]["tokens"]["total"] == 70
    assert (await answers(any_lab, "runs/r1"))["totals"]["tokens"]["total"] == 70
    usage = await answers(any_lab, "agents/research/usage?by=incarnation")
    assert usage["rowCount"] == 1


async def test_sums_past_64_bits_are_exact_on_each_database(
    any_lab: Any, rows_of: Any, counted: Any
) -> None:
    greatest = 2**63 - 1
    async with rows_of(any_lab) as rows:
        await rows.service("north")
        for name in ("n1", "n2", "n3"):
            await rows.incarnation(name, service="north")
        await rows.key_of("k", caller="lead_agent")
        for name in ("n1", "n2", "n3"):
            await rows.cell("k", counted(**dict.fromkeys(COUNT_FIELDS, greatest)), incarnation=name)
    report = await answers(any_lab, "usage?by=service")
    assert report["totals"]["tokens"]["input"] == 3 * greatest
    assert report["totals"]["tokens"]["total"] == 9 * greatest
    assert report["totals"]["calls"]["finished"] == 15 * greatest
