"""What the reading side of the API answers, and what it refuses."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tokenbeat.control_plane.report import schemas
from tokenbeat.usage.call import CellKey

NOW = datetime(2026, 4, 1, 12, 0, 30, tzinfo=timezone.utc)
MINUTE = int(NOW.timestamp()) // 60
LEAD = CellKey("chat", "openai", "gpt-4o", "gpt-4o-2024-08-06", "lead", "lead_agent")
LOST = CellKey("chat", "openai", "gpt-4o-mini", None, None, "unattributed")


async def seeded(asked: Any, counted: Any) -> None:
    """One service, two processes, two keys; three minutes with calls."""
    async with asked.rows() as rows:
        await rows.service("north", interval_ms=30_000)
        await rows.incarnation("n1", service="north", open_calls=2)
        await rows.incarnation("n2", service="north", final=True)
        await rows.key("lead", LEAD)
        await rows.key("lost", LOST)
        await rows.cell(
            "lead",
            counted(ok=3, with_usage=3, input_tokens=300, output_tokens=30),
            incarnation="n1",
        )
        await rows.cell("lost", counted(error=1, failed_attempts=2), incarnation="n2")
        for minute, calls in ((MINUTE - 120, 1), (MINUTE - 1, 1), (MINUTE, 1)):
            await rows.bucket(
                "lead",
                counted(ok=calls, with_usage=calls, input_tokens=100, output_tokens=10),
                incarnation="n1",
                minute=minute,
            )
        await rows.bucket(
            "lost", counted(error=1, failed_attempts=2), incarnation="n2", minute=MINUTE
        )


async def test_a_report_has_totals_rows_and_the_times_it_is_about(asked: Any, counted: Any) -> None:
    await seeded(asked, counted)
    report = await asked.json("agents/north/usage?by=model,caller")
    schemas.UsageReport.model_validate(report)
    assert report["service"] == "north"
    assert report["by"] == ["model", "caller"]
    assert (report["from"], report["to"]) == (None, None)
    assert report["at"] == "2026-04-01T12:00:30.000Z"
    assert report["lastSeen"] == "2026-04-01T12:00:30.000Z"
    assert report["totals"]["tokens"]["total"] == 330
    assert report["totals"]["calls"]["finished"] == 4
    assert report["totals"]["calls"]["unknownUsage"] == 1
    assert report["totals"]["failedAttempts"] == 2
    assert report["unattributed"] == {"calls": 1, "tokens": 0}
    assert [(row["model"], row["caller"]) for row in report["rows"]] == [
        ("gpt-4o", "lead_agent"),
        ("gpt-4o-mini", "unattributed"),
    ]
    assert report["rows"][1]["tokens"]["cacheWrite1h"] == 0  # zeros are present


async def test_a_period_is_read_from_the_minutes_and_says_which_it_used(
    asked: Any, counted: Any
) -> None:
    await seeded(asked, counted)
    report = await asked.json(
        "usage?by=callerType&from=2026-04-01T11:58:59Z&to=2026-04-01T13:59:30%2B02:00"
    )
    assert (report["from"], report["to"]) == (
        "2026-04-01T11:58:00.000Z",
        "2026-04-01T12:00:00.000Z",
    )
    assert [(row["callerType"], row["calls"]["finished"]) for row in report["rows"]] == [
        ("lead_agent", 2),
        ("unattributed", 1),
    ]
    only_from = await asked.json("agents/north/usage?from=2026-04-01T09:00:00Z")
    assert only_from["by"] == ["model"]
    assert only_from["totals"]["tokens"]["total"] == 330


async def test_a_series_names_each_bucket_by_its_end(asked: Any, counted: Any) -> None:
    await seeded(asked, counted)
    minutes = await asked.json("usage/series?by=callerType")
    schemas.SeriesReport.model_validate(minutes)
    assert [(point["at"], point["callerType"]) for point in minutes["points"]] == [
        ("2026-04-01T11:59:00.000Z", "lead_agent"),
        ("2026-04-01T12:00:00.000Z", "lead_agent"),
        ("2026-04-01T12:00:00.000Z", "unattributed"),
    ]
    hours = await asked.json("usage/series?bucket=hour&service=north")
    assert [(point["at"], point["tokens"]["total"]) for point in hours["points"]] == [
        ("2026-04-01T10:00:00.000Z", 110),
        ("2026-04-01T12:00:00.000Z", 220),
        ("2026-04-01T12:00:00.000Z", 0),
    ]
    days = await asked.json("usage/series?bucket=day&by=service")
    assert [(point["at"], point["tokens"]["total"]) for point in days["points"]] == [
        ("2026-04-02T00:00:00.000Z", 330)
    ]


async def test_agents_are_listed_as_agentspec_does_and_with_what_they_spent(
    asked: Any, counted: Any
) -> None:
    await seeded(asked, counted)
    async with asked.rows() as rows:
        await rows.service("registered", last_seen=None)
        await rows.service("gone", last_seen=NOW - timedelta(seconds=91))
        await rows.incarnation("g1", service="gone", books={"finished": 7, "undelivered": 840})
        await rows.service("over", last_seen=NOW - timedelta(days=1))
        await rows.incarnation("o1", service="over", final=True)
    listed = await asked.json("agents")
    for agent in listed:
        schemas.Agent.model_validate(agent)
    agents = {agent["agentName"]: agent for agent in listed}
    assert list(agents) == ["gone", "north", "over", "registered"]
    assert {name: (agent["state"], agent["stale"]) for name, agent in agents.items()} == {
        "gone": ("silent", True),
        "north": ("live", False),
        "over": ("ended", True),
        "registered": ("never", False),
    }
    north = agents["north"]
    assert north["lastSeen"] == "2026-04-01T12:00:30.000Z"
    assert (north["phase"], north["grade"], north["score"]) == ("Healthy", "A", 95)
    assert (north["incarnations"], north["running"], north["open"]) == (2, 1, 2)
    assert north["totals"]["tokens"]["total"] == 330
    assert (agents["gone"]["undeliveredCalls"], agents["gone"]["undeliveredTokens"]) == (7, 840)
    assert north["undeliveredTokens"] == 0
    second = await asked.json("agents?limit=1&offset=1")
    assert [agent["agentName"] for agent in second] == ["north"]


async def test_a_service_is_silent_only_after_more_than_three_of_its_own_intervals(
    asked: Any,
) -> None:
    async with asked.rows() as rows:
        await rows.service("slow", interval_ms=60_000, last_seen=NOW - timedelta(seconds=180))
    assert [agent["stale"] for agent in await asked.json("agents")] == [False]
    asked.clock.advance(1_000_000)
    assert [agent["stale"] for agent in await asked.json("agents")] == [True]


async def test_usage_without_parameters_is_agentspecs_last_window_with_its_own_time(
    asked: Any,
) -> None:
    window = {
        "windowStartedAt": "2026-04-01T00:00:00.000000+00:00",
        "models": [
            {
                "modelId": "openai/gpt-4o",
                "promptTokens": 100,
                "completionTokens": 50,
                "totalTokens": 150,
                "callCount": 1,
                "region": "eu",
            }
        ],
        "totalTokens": 150,
        "totalCalls": 1,
        "unknown": "left out",
    }
    async with asked.rows() as rows:
        await rows.service("spec", window=window, window_received_at=NOW - timedelta(hours=1))
        await rows.service("fresh")
    answer = await asked.json("agents/spec/usage")
    schemas.AgentSpecUsage.model_validate(answer)
    assert answer == {
        "windowStartedAt": "2026-04-01T00:00:00.000000+00:00",
        "models": window["models"],
        "totalTokens": 150,
        "totalCalls": 1,
        "receivedAt": "2026-04-01T11:00:30.000Z",
    }
    assert await asked.json("agents/fresh/usage") == {
        "windowStartedAt": None,
        "models": [],
        "totalTokens": 0,
        "totalCalls": 0,
        "receivedAt": None,
    }


async def test_a_control_plane_without_data_answers_zeros(asked: Any) -> None:
    report = await asked.json("usage?by=model,caller")
    assert report["rows"] == []
    assert set(report["totals"]["tokens"].values()) == {0}
    assert set(report["totals"]["calls"].values()) == {0}
    assert (report["since"], report["lastSeen"]) == (None, None)
    assert (await asked.json("usage/series"))["points"] == []
    assert (await asked.json("runs"))["runs"] == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("usage?by=colour", "by"),
        ("usage?by=model,model", "by"),
        ("usage?by=", "by"),
        ("usage?by=run&from=2026-04-01T00:00:00Z", "by"),
        ("usage?by=" + "x" * 300, "by"),
        ("usage?from=yesterday", "from"),
        ("usage?from=2026-04-01T00:00:00", "from"),
        ("usage?to=9999-12-31T23:59:59Z", "to"),
        ("usage?to=0001-01-01T00:00:00%2B14:00", "to"),
        ("usage?from=2026-04-02T00:00:00Z&to=2026-04-01T00:00:00Z", "to"),
        ("usage?limit=0", "limit"),
        ("usage?limit=5001", "limit"),
        ("usage?limit=many", "limit"),
        ("usage?offset=-1", "offset"),
        ("usage?offset=18446744073709551616", "offset"),
        ("usage/series?bucket=second", "bucket"),
        ("usage/series?by=run", "by"),
        ("usage/series?bucket=minute&from=2020-01-01T00:00:00Z", "from"),
        ("agents?limit=0", "limit"),
        ("agents/north/usage?by=nothing", "by"),
        ("runs?limit=501", "limit"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(asked: Any, path: str, field: str) -> None:
    async with asked.rows() as rows:
        await rows.service("north")
    answer = await asked.client.get(f"/api/v1/{path}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    "path", ["agents/nobody/usage", "usage/series?service=nobody", "runs?service=no", "runs/none"]
)
async def test_what_is_not_known_is_a_problem_with_404(asked: Any, path: str) -> None:
    answer = await asked.client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["agents", "agents/a/usage", "usage", "usage/series", "usage/stream", "runs", "runs/r"]
)
async def test_every_reading_needs_the_key_where_reads_are_not_open(
    open_plane: Any, path: str
) -> None:
    async with open_plane(open_reads=False) as locked:
        assert (await locked.client.get(f"/api/v1/{path}")).status_code in {401, 403}
        wrong = {"Authorization": "Bearer wrong"}
        assert (await locked.client.get(f"/api/v1/{path}", headers=wrong)).status_code in {401, 403}
        if path != "usage/stream":  # would not end
            right = {"Authorization": f"Bearer {locked.plane.secrets.admin_key}"}
            answer = await locked.client.get(f"/api/v1/{path}", headers=right)
            assert answer.status_code in {200, 404}
