"""Rows and rest add up to the totals, for every dimension, on a real SQLite file."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenbeat.control_plane.report.dimensions import DIMENSIONS, read_by
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.control_plane.report.period import Period
from tokenbeat.control_plane.report.repository import ReportRepository
from tokenbeat.control_plane.report.service import Page, ReportService
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import COUNT_FIELDS, ZERO_COUNTS, add, finished, total_tokens

if TYPE_CHECKING:
    from tokenbeat.usage.counts import Counts

_tenants = itertools.count()

KEYS = [
    CellKey("chat", "openai", "gpt-4o", "gpt-4o-2024-08-06", "lead", "lead_agent"),
    CellKey("chat", "openai", "gpt-4o", "gpt-4o-2024-11-20", "lead", "lead_agent"),
    CellKey("chat", "azure", "gpt-4o", None, None, "lead_agent/subagent:writer"),
    CellKey("chat", "anthropic", None, None, None, "unattributed"),
    CellKey("embeddings", "openai", "ada", None, "search", "other"),
    CellKey("chat", "other", "other", "other", None, "other"),
]
PLACES = [("north", "n1"), ("north", "n2"), ("south", "s1")]
MINUTE = 29_584_800

counts_of_cells = st.lists(
    # Small numbers, and the greatest that a column holds: sums then leave 64 bits.
    st.one_of(st.integers(0, 50), st.just(2**63 - 1)),
    min_size=len(COUNT_FIELDS),
    max_size=len(COUNT_FIELDS),
).map(tuple)
entries = st.dictionaries(
    st.tuples(st.sampled_from(range(len(PLACES))), st.sampled_from(range(len(KEYS)))),
    st.dictionaries(st.integers(-3, 3), counts_of_cells, min_size=1, max_size=3),
    max_size=10,
)


def summed(json: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures added up by name, independently of the code under test."""
    total: dict[str, Any] = {"calls": {}, "failedAttempts": 0, "tokens": {}}
    for one in json:
        total["failedAttempts"] += one["failedAttempts"]
        for group in ("calls", "tokens"):
            for name, value in one[group].items():
                total[group][name] = total[group].get(name, 0) + value
    return total


def together(vectors: list[Counts]) -> Counts:
    total = ZERO_COUNTS
    for vector in vectors:
        total = add(total, vector)
    return total


@settings(
    max_examples=25,
    # The plane is the same for all examples; each has a tenant of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entered=entries, limit=st.integers(1, 4), after=st.integers(-3, 3))
async def test_the_sum_over_any_dimension_is_the_total_in_all_and_in_any_period(
    asked: Any, entered: dict[tuple[int, int], dict[int, Counts]], limit: int, after: int
) -> None:
    tenant = f"t{next(_tenants)}"
    async with asked.rows(tenant) as rows:
        for service in ("north", "south"):
            await rows.service(service)
        for service, incarnation in PLACES:
            await rows.incarnation(incarnation, service=service)
        for index, key in enumerate(KEYS):
            await rows.key(str(index), key)
        for (place, key_index), minutes in entered.items():
            incarnation = PLACES[place][1]
            # A cell of the tables holds 64 bits; what its minutes hold may add up to more.
            whole = tuple(min(n, 2**63 - 1) for n in together(list(minutes.values())))
            await rows.cell(str(key_index), whole, incarnation=incarnation)
            for minute, counts in minutes.items():
                await rows.bucket(
                    str(key_index), counts, incarnation=incarnation, minute=MINUTE + minute
                )

    cells = {
        place: tuple(min(n, 2**63 - 1) for n in together(list(minutes.values())))
        for place, minutes in entered.items()
    }
    inside = {
        place: together([c for minute, c in minutes.items() if minute > after])
        for place, minutes in entered.items()
    }
    async with asked.plane.database.read() as session:
        reports = ReportService(ReportRepository(session, tenant=tenant), now=asked.plane.now())
        for truth, period in ((cells, Period()), (inside, Period(after=MINUTE + after))):
            expected = figures(together(list(truth.values())))
            lost = together([c for (_, key), c in truth.items() if key == 3])
            for name in set(DIMENSIONS) - {"run"}:
                report = await reports.usage(read_by(name), page=Page(limit=limit), period=period)
                assert report["totals"] == expected
                assert summed([*report["rows"], report["rest"]]) == expected
                assert len(report["rows"]) == min(limit, report["rowCount"])
                assert report["unattributed"] == {
                    "calls": finished(lost),
                    "tokens": total_tokens(lost),
                }
            both = await reports.usage(
                read_by("caller,model"), page=Page(limit=3, offset=1), period=period
            )
            assert summed([*both["rows"], both["rest"]]) == expected
        series = await reports.series(
            read_by("model"), size="hour", period=Period(after=MINUTE - 60, until=MINUTE + 60)
        )
        everything = together([c for minutes in entered.values() for c in minutes.values()])
        assert summed(series["points"] or [figures(ZERO_COUNTS)]) == figures(everything)


async def test_dated_answers_roll_up_to_their_family_and_raw_names_stay(
    asked: Any, counted: Any
) -> None:
    async with asked.rows() as rows:
        await rows.service("north")
        await rows.incarnation("n1", service="north")
        for index, key in enumerate(KEYS[:3]):
            await rows.key(str(index), key)
            await rows.cell(str(index), counted(ok=1, input_tokens=10 + index), incarnation="n1")
    by_model = await asked.json("usage?by=model")
    assert [(row["model"], row["tokens"]["total"]) for row in by_model["rows"]] == [("gpt-4o", 33)]
    raw = await asked.json("usage?by=responseModel")
    assert [(row["responseModel"], row["tokens"]["total"]) for row in raw["rows"]] == [
        (None, 12),
        ("gpt-4o-2024-11-20", 11),
        ("gpt-4o-2024-08-06", 10),
    ]


async def test_pages_of_rows_come_in_one_order_and_meet_without_gap(
    asked: Any, counted: Any
) -> None:
    async with asked.rows() as rows:
        await rows.service("north")
        await rows.incarnation("n1", service="north")
        for index in range(7):
            await rows.key(str(index), CellKey("chat", "p", f"m{index}", None, None, "lead_agent"))
            await rows.cell(str(index), counted(ok=1, input_tokens=5), incarnation="n1")
    models: list[str] = []
    for offset in (0, 3, 6):
        page = await asked.json(f"usage?by=model&limit=3&offset={offset}")
        assert page["rowCount"] == 7
        models += [row["model"] for row in page["rows"]]
    assert models == [f"m{index}" for index in range(7)]


async def test_another_tenants_numbers_are_not_shown(asked: Any, counted: Any) -> None:
    async with asked.rows("stranger") as rows:
        await rows.service("north")
        await rows.incarnation("n1", service="north")
        await rows.key("0", KEYS[0])
        await rows.cell("0", counted(ok=1, input_tokens=5), incarnation="n1")
    report = await asked.json("usage?by=model")
    assert report["totals"]["tokens"]["total"] == 0
    assert report["rows"] == []
    assert await asked.json("agents") == []
    await asked.json("agents/north/usage", status=404)
