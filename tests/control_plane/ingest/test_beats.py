"""Beats with cells: maximum, minutes, revisions, chain, runs, gauges, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.control_plane.db.models import Incarnation, Run, Service

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers


async def test_a_first_beat_is_stored_and_acknowledged_with_its_revision(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    answer = await any_lab.send(beat((30, [cell("lead", 100)]), revision=7))
    assert (answer.status_code, answer.json()) == (200, {"revision": 7, "nextHeartbeatMs": 30_000})
    assert await any_lab.cells() == {
        ("abcdefgh234567ab", "lead"): {"ok": 1, "with_usage": 1, "items": 1, "input_tokens": 100}
    }


async def test_the_same_beat_again_changes_nothing_but_when_it_was_seen(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    message = beat((30, [cell("lead", 100)]), runs=[_run("r1", cell("lead", 100))])
    await any_lab.send(message)
    before = (await any_lab.everything(), any_lab.plane.changes.revision("default"))
    any_lab.clock.advance(30_000_000_000)
    assert (await any_lab.send(message)).status_code == 200
    after = (await any_lab.everything(), any_lab.plane.changes.revision("default"))
    assert before == after
    (row,) = await any_lab.rows(Incarnation)
    assert (row.beats, (row.last_seen - row.first_seen).total_seconds()) == (2, 30)


async def test_an_older_beat_that_comes_late_takes_nothing_back(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    newer = beat((60, [cell("lead", 300)]), revision=2, sent=60, open=5)
    older = beat((30, [cell("lead", 100)]), revision=1, sent=30, open=9)
    await any_lab.send(newer)
    answer = await any_lab.send(older)
    assert answer.json()["revision"] == 2
    assert (await any_lab.cells())["abcdefgh234567ab", "lead"]["input_tokens"] == 300
    (row,) = await any_lab.rows(Incarnation)
    assert row.open_calls == 5


async def test_each_component_has_its_own_maximum(any_lab: Lab, beat: Any, cell: Any) -> None:
    await any_lab.send(beat((30, [cell("lead", 0, tokens={"input": 9, "output": 1})])))
    await any_lab.send(beat((30, [cell("lead", 0, tokens={"input": 2, "output": 8})])))
    counts = (await any_lab.cells())["abcdefgh234567ab", "lead"]
    assert (counts["input_tokens"], counts["output_tokens"]) == (9, 8)


async def test_every_count_of_the_wire_has_its_own_column(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    calls = ("ok", "error", "cancelled", "abandoned", "unfinished", "withUsage", "partial")
    tokens = [
        "input",
        "output",
        "cacheRead",
        "cacheWrite",
        "cacheWrite5m",
        "cacheWrite1h",
        "reasoning",
        "unclassified",
        "inputText",
        "inputAudio",
        "inputImage",
        "outputText",
        "outputAudio",
        "outputImage",
        "cachedInput",
        "cachedOutput",
        "cachedUnclassified",
    ]
    sent = cell(
        "lead",
        0,
        calls={name: number for number, name in enumerate([*calls, "cached", "items"], start=1)},
        failedAttempts=50,
        tokens={name: number for number, name in enumerate(tokens, start=100)},
    )
    await any_lab.send(beat((30, [sent])))
    (stored,) = (await any_lab.cells()).values()
    assert sorted(stored.values()) == [*range(1, 10), 50, *range(100, 117)]
    assert stored["cached"] == 8
    assert stored["items"] == 9
    assert stored["cache_write_1h_tokens"] == 105
    assert stored["cached_unclassified_tokens"] == 116


async def test_an_increase_goes_into_the_minute_that_ends_at_its_cut(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    any_lab.clock.advance(130_000_000_000)
    await any_lab.send(
        beat(
            (60, [cell("lead", 100)]),
            (120, [cell("lead", 150), cell("sub", 7)]),
            (125.5, [cell("lead", 151)]),
        )
    )
    tokens = {at: counts.get("input_tokens") for at, counts in (await any_lab.minutes()).items()}
    assert tokens == {(1, "lead"): 100, (2, "lead"): 50, (2, "sub"): 7, (3, "lead"): 1}
    assert await any_lab.buckets_equal_cells()


async def test_a_cut_left_out_falls_into_the_next(any_lab: Lab, beat: Any, cell: Any) -> None:
    await any_lab.send(beat((60, [cell("lead", 100)])))
    await any_lab.send(beat((240, [cell("lead", 400)]), revision=2))
    minutes = await any_lab.minutes()
    assert {at: counts["input_tokens"] for at, counts in minutes.items()} == {
        (1, "lead"): 100,
        (4, "lead"): 300,
    }


async def test_a_cut_from_the_future_is_booked_at_its_receipt_and_flagged(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    any_lab.clock.advance(90_000_000_000)
    await any_lab.send(beat((390, [cell("lead", 1)]), (391, [cell("lead", 3)])))
    minutes = await any_lab.minutes()
    # 390 s is five minutes after the receipt and still believed; 391 s is not.
    assert {at: counts["input_tokens"] for at, counts in minutes.items()} == {
        (7, "lead"): 1,
        (2, "lead"): 2,
    }
    (row,) = await any_lab.rows(Incarnation)
    assert row.cuts_ahead == 1


async def test_a_beat_with_a_gap_before_it_is_stored_but_does_not_raise_the_revision(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)]), revision=3, nonce="n1"))
    answer = await any_lab.send(
        beat((60, [cell("sub", 2)]), revision=9, base=5, nonce="n9", nonces=["n8"])
    )
    assert answer.json() == {"revision": 3, "nonce": "n1", "nextHeartbeatMs": 30_000}
    assert len(await any_lab.cells()) == 2
    healed = await any_lab.send(
        beat((60, [cell("sub", 2)]), revision=9, base=3, nonce="n10", nonces=["n9", "n1"])
    )
    assert healed.json() == {"revision": 9, "nextHeartbeatMs": 30_000}


async def test_an_incarnation_unknown_here_is_asked_to_begin_again(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    """The database was lost, or restored from before the incarnation began."""
    answer = await any_lab.send(beat((30, [cell("lead", 1)]), revision=9, base=8, nonce="n2"))
    assert answer.json() == {"revision": 0, "nextHeartbeatMs": 30_000}


async def test_a_clone_is_told_so_and_nothing_of_its_beat_is_stored(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)]), nonce="n1"))
    await any_lab.send(beat((60, [cell("lead", 2)]), revision=2, nonce="n2", nonces=["n1"]))
    before = await any_lab.everything()
    clone = await any_lab.send(
        beat((60, [cell("lead", 50)]), revision=2, base=1, nonce="x2", nonces=["n1"])
    )
    assert clone.status_code == 409
    assert clone.headers["content-type"] == "application/problem+json"
    assert clone.json()["type"].endswith("/clone")
    assert await any_lab.everything() == before
    original = beat((90, [cell("lead", 3)]), revision=3, base=2, nonce="n3", nonces=["n1", "n2"])
    assert (await any_lab.send(original)).status_code == 200


async def test_a_resend_under_the_same_nonce_is_no_clone(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    message = beat((30, [cell("lead", 1)]), nonce="n1", nonces=[])
    await any_lab.send(message)
    assert (await any_lab.send(message)).status_code == 200


async def test_sidecar_and_recovery_are_outside_the_chain(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)]), nonce="n1"))
    for sender, tokens in (("sidecar", 5), ("recovery", 6)):
        message = beat((60, [cell("lead", tokens)]), revision=2, sender=sender)
        assert (await any_lab.send(message)).status_code == 200
    following = beat((90, [cell("lead", 7)]), revision=3, nonce="n2", nonces=["n1"])
    assert (await any_lab.send(following)).status_code == 200
    assert (await any_lab.cells())["abcdefgh234567ab", "lead"]["input_tokens"] == 7


async def test_two_senders_of_one_incarnation_count_once(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    for tokens in (10, 20, 30):
        for sender in ("sidecar", "process"):
            message = beat((tokens, [cell("lead", tokens)]), revision=tokens, sender=sender)
            assert (await any_lab.send(message)).status_code == 200
    assert (await any_lab.cells())["abcdefgh234567ab", "lead"]["input_tokens"] == 30
    assert await any_lab.buckets_equal_cells()


async def test_a_cell_may_rise_by_the_limit_and_climbs_beyond_it_beat_by_beat(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    limit, truth = 10**10, 2 * 10**10 + 5
    sent = truth
    for revision in range(1, 10):
        answer = await any_lab.send(
            beat((30, [cell("lead", sent), cell("sub", 1)]), revision=revision)
        )
        if answer.status_code == 200 and sent == truth:
            break
        if answer.status_code == 200:
            sent = truth
            continue
        problem = answer.json()
        assert answer.status_code == 422
        assert problem["field"] == "tokenbeat.cuts[0].cells[0].tokens.input"
        assert problem["largest"] in (limit, 2 * limit)
        sent = problem["largest"]
    assert (await any_lab.cells())["abcdefgh234567ab", "lead"]["input_tokens"] == truth


async def test_a_beat_past_a_limit_stores_nothing_at_all(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)]), nonce="n1"))
    before = (await any_lab.everything(), await any_lab.rows(Incarnation))
    refused = await any_lab.send(
        beat(
            (60, [cell("good", 5), cell("lead", 2 + 10**10), cell("sub", 10**11)]),
            revision=5,
            nonce="n2",
            nonces=["n1"],
        )
    )
    assert [(fault["field"], fault["largest"]) for fault in refused.json()["errors"]] == [
        ("tokenbeat.cuts[0].cells[1].tokens.input", 1 + 10**10),
        ("tokenbeat.cuts[0].cells[2].tokens.input", 10**10),
    ]
    after = await any_lab.rows(Incarnation)
    assert await any_lab.everything() == before[0]
    assert (after[0].revision, after[0].nonce, after[0].beats) == (1, "n1", 1)


async def test_counts_beyond_two_to_the_53_stay_exact(new_lab: Any, beat: Any, cell: Any) -> None:
    async with new_lab(max_beat_increase=10**15) as lab:
        for revision in range(1, 12):
            sent = min(revision * 10**15, 2**53 + 1)
            await lab.send(beat((30, [cell("lead", sent)]), revision=revision))
        assert (await lab.cells())["abcdefgh234567ab", "lead"]["input_tokens"] == 2**53 + 1


async def test_runs_are_kept_by_part_and_by_maximum(any_lab: Lab, beat: Any, cell: Any) -> None:
    first = [_run("r1", cell("lead/subagent:researcher#2", 5)), _run("r1", cell("lead", 3), part=8)]
    await any_lab.send(beat(runs=first))
    again = [_run("r1", cell("lead/subagent:researcher#2", 4))]
    await any_lab.send(beat(runs=again, revision=2))
    tokens = {at: counts["input_tokens"] for at, counts in (await any_lab.runs()).items()}
    assert tokens == {("r1", 0, "lead/subagent:researcher#2"): 5, ("r1", 8, "lead"): 3}
    assert await any_lab.cells() == {}


async def test_a_runs_state_is_the_newest_beats(
    any_lab: Lab, beat: Any, cell: Any, at: Any
) -> None:
    closed = _run("r1", status="success", endedAt=at(50), late=True, labels={"team": "eu"})
    await any_lab.send(beat(runs=[closed], revision=5, sent=50))
    await any_lab.send(beat(runs=[_run("r1")], revision=4, sent=40))
    (row,) = await any_lab.rows(Run)
    assert (row.status, row.late, row.labels) == ("success", True, {"team": "eu"})
    assert row.ended_at.isoformat() == "2026-04-01T00:00:50+00:00"
    await any_lab.send(beat(runs=[_run("r1", status="error", user="ann")], revision=6, sent=60))
    (row,) = await any_lab.rows(Run)
    assert (row.status, row.user_name, row.ended_at) == ("error", "ann", None)


async def test_a_run_that_stands_in_a_beat_twice_is_one(any_lab: Lab, beat: Any, cell: Any) -> None:
    twice = [_run("r1", cell("lead", 5)), _run("r1", cell("lead", 9), cell("sub", 1))]
    assert (await any_lab.send(beat(runs=twice))).status_code == 200
    tokens = {at[2]: counts["input_tokens"] for at, counts in (await any_lab.runs()).items()}
    assert tokens == {"lead": 9, "sub": 1}


async def test_a_service_is_described_by_its_newest_beat(any_lab: Lab, beat: Any) -> None:
    service = {"name": "research", "originalName": "Research", "namespace": "eu"}
    message = beat(revision=2, sent=10, status="degraded", intervalMs=5_000)
    message["tokenbeat"]["service"] |= service
    await any_lab.send(message)
    await any_lab.send(beat(revision=1, sent=5, status="ready"))
    await any_lab.send(beat(incarnation="z" * 16, sender="recovery", status="unavailable"))
    (row,) = await any_lab.rows(Service)
    assert (row.phase, row.grade, row.score) == ("Degraded", "A", 91)
    assert (row.interval_ms, row.last_seen) == (30_000, any_lab.plane.now())
    assert row.created_at.utcoffset() is not None


async def test_an_empty_beat_asks_what_the_server_has(any_lab: Lab, beat: Any) -> None:
    await any_lab.send(beat(revision=4))
    answer = await any_lab.send(beat(revision=4, base=4))
    assert answer.json()["revision"] == 4
    assert await any_lab.cells() == {}


async def test_a_cell_of_zeros_makes_no_row(any_lab: Lab, beat: Any, cell: Any) -> None:
    nothing = cell("lead", 0, calls={}, tokens={})
    assert (await any_lab.send(beat((30, [nothing])))).status_code == 200
    assert await any_lab.everything() == [{}, {}, {}]


async def test_one_more_cell_than_there_can_be_is_named_and_zero_is_what_it_would_take(
    new_lab: Any, beat: Any, cell: Any
) -> None:
    async with new_lab(max_cells=2) as lab:
        await lab.send(beat((30, [cell("a", 1), cell("b", 1)])))
        answer = await lab.send(beat((60, [cell("a", 2), cell("c", 1)]), revision=2))
        problem = answer.json()
        assert (answer.status_code, problem["field"], problem["largest"]) == (
            422,
            "tokenbeat.cuts[0].cells[1]",
            0,
        )
        nothing = cell("c", 0, calls={}, tokens={})
        assert (await lab.send(beat((60, [cell("a", 2), nothing]), revision=2))).status_code == 200


async def test_a_run_has_no_more_cells_than_an_incarnation(
    new_lab: Any, beat: Any, cell: Any
) -> None:
    async with new_lab(max_cells=1) as lab:
        await lab.send(beat(runs=[_run("r1", cell("a", 1))]))
        answer = await lab.send(beat(runs=[_run("r2"), _run("r1", cell("b", 1))]))
        assert answer.json()["field"] == "tokenbeat.runs[1].cells[0]"


async def test_a_beat_is_answered_with_the_senders_own_interval_within_bounds(
    new_lab: Any, beat: Any
) -> None:
    async with new_lab(min_heartbeat_interval_ms=5_000) as lab:
        for interval_ms, asked_ms in ((1, 5_000), (7_000, 7_000), (86_400_000, 600_000)):
            answer = await lab.send(beat(intervalMs=interval_ms))
            assert answer.json()["nextHeartbeatMs"] == asked_ms


async def test_an_incarnation_that_beats_too_often_is_asked_to_wait_and_no_other(
    new_lab: Any, beat: Any
) -> None:
    async with new_lab(beats_per_minute=2) as lab:
        await lab.send(beat())
        lab.clock.advance(20_000_000_000)
        await lab.send(beat())
        answer = await lab.send(beat())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "40")
        assert (await lab.send(beat(incarnation="b" * 16))).status_code == 200
        lab.clock.step_wall(-3_600_000_000_000)
        assert (await lab.send(beat())).status_code == 200


def _run(run: str, *cells: Any, part: int = 0, status: str = "open", **more: Any) -> Any:
    started = "2026-04-01T00:00:00.000Z"
    return {
        "run": run,
        "part": part,
        "status": status,
        "startedAt": started,
        "cells": list(cells),
        **more,
    }
