"""What always holds of the books, for any calls, any interleaving and any mix of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.laws.conftest import Attempt, Call, World
from tokenbeat.ledger.express import Express
from tokenbeat.ledger.records import Opened, decode, encode
from tokenbeat.ledger.replay import replay_records
from tokenbeat.usage.counts import (
    CACHED,
    COUNT_FIELDS,
    FAILED_ATTEMPTS,
    OK,
    WITH_USAGE,
    ZERO_COUNTS,
    add,
    total_tokens,
)

if TYPE_CHECKING:
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

tokens = st.integers(0, 10_000)
good = st.builds(Attempt, tokens, tokens, told=st.booleans())
bad = st.builds(Attempt, tokens, tokens, fails=st.just(True))
calls = st.builds(
    Call,
    model=st.sampled_from(["gpt-4o", "claude", "small"]),
    caller=st.integers(0, 2),
    attempts=st.tuples(st.lists(bad, max_size=2), good | bad).map(lambda t: (*t[0], t[1])),
    cached=st.booleans(),
    routed=st.booleans(),
).filter(lambda call: not (call.cached and (call.routed or call.attempts[-1].fails)))
worlds = st.lists(calls, max_size=8)
seeds = st.integers(0, 2**32)


class NoShortcut(Express):
    """Leaves every end to the state machine."""

    def end(self, report: Report) -> None:
        del report


def billed(calls: list[Call]) -> int:
    """What the provider charges: every answered request that no cache served."""
    return sum(
        a.input_tokens + a.output_tokens
        for call in calls
        if not call.cached
        for a in call.attempts
        if not a.fails
    )


def cells(world: World) -> dict[CellKey, Counts]:
    return {cell.key: cell.counts for cell in world.ledger.snapshot().cells}


@given(worlds, seeds, st.integers(1, 3))
def test_the_ledger_is_the_bill_whichever_sources_report(
    calls: list[Call], seed: int, ends: int
) -> None:
    for framework, wire in [(True, False), (True, True)]:
        world = World(framework=framework, wire=wire, ends=ends)
        world.play(calls, seed=seed)
        totals = world.ledger.snapshot().totals
        assert total_tokens(totals) == billed(calls)
        assert world.ledger.snapshot().open == 0


@given(worlds, seeds)
def test_the_wire_alone_counts_what_it_was_told(calls: list[Call], seed: int) -> None:
    world = World(framework=False, wire=True)
    world.play(calls, seed=seed)
    told = [a for c in calls if not c.cached for a in c.attempts if not a.fails and a.told]
    totals = world.ledger.snapshot().totals
    assert total_tokens(totals) == sum(a.input_tokens + a.output_tokens for a in told)
    assert totals[WITH_USAGE] == len(told)


@given(worlds, seeds)
def test_another_source_adds_attempts_and_never_a_call(calls: list[Call], seed: int) -> None:
    alone, both = (World(framework=True, wire=wire) for wire in (False, True))
    for world in (alone, both):
        world.play(calls, seed=seed)
    one, two = alone.ledger.snapshot().totals, both.ledger.snapshot().totals
    assert one[OK] == two[OK] == sum(not call.attempts[-1].fails for call in calls)
    assert one[CACHED] == two[CACHED]
    assert two[FAILED_ATTEMPTS] >= one[FAILED_ATTEMPTS]


@given(worlds, seeds)
def test_every_dimension_sums_to_the_total(calls: list[Call], seed: int) -> None:
    world = World(framework=True, wire=True)
    world.play(calls, seed=seed)
    snapshot = world.ledger.snapshot()
    for field in range(6):
        by_value: dict[str | None, Counts] = {}
        for cell in snapshot.cells:
            value = cell.key[field]
            by_value[value] = add(by_value.get(value, ZERO_COUNTS), cell.counts)
        total = ZERO_COUNTS
        for counts in by_value.values():
            total = add(total, counts)
        assert total == snapshot.totals


@given(worlds, seeds)
def test_no_count_ever_falls_and_nothing_moves_between_cells(calls: list[Call], seed: int) -> None:
    world = World(framework=True, wire=True)
    seen: dict[CellKey, Counts] = {}

    def check() -> None:
        now = cells(world)
        for key, before in seen.items():
            assert all(a >= b for a, b in zip(now[key], before, strict=True))
        seen.update(now)

    world.play(calls, seed=seed, check=check)


@given(worlds, seeds)
def test_parts_never_exceed_their_wholes_and_known_calls_never_exceed_finished_ones(
    calls: list[Call], seed: int
) -> None:
    world = World(framework=True, wire=True, ends=2)
    world.play(calls, seed=seed)
    for counts in cells(world).values():
        named = dict(zip(COUNT_FIELDS, counts, strict=True))
        assert named["cache_read_tokens"] + named["cache_write_tokens"] <= named["input_tokens"]
        finished = sum(counts[:5])
        assert counts[WITH_USAGE] + counts[CACHED] <= finished


@given(worlds, seeds)
def test_the_journal_replays_into_equal_books_at_every_revision(
    calls: list[Call], seed: int
) -> None:
    world = World(framework=True, wire=True)

    def check() -> None:
        records = [r for r in map(decode, world.lines) if not isinstance(r, Opened)]
        accounts, revision, missing = replay_records(records)
        assert (revision, missing) == (world.ledger.revision, ())
        assert {key: counts for key, (counts, _) in accounts.cells.items()} == cells(world)
        assert accounts.open_calls == world.ledger.snapshot().open

    world.play(calls, seed=seed, check=check)
    check()


@given(calls=worlds, seed=seeds, wire=st.booleans())
def test_the_common_calls_short_way_writes_what_the_long_way_writes(
    *, calls: list[Call], seed: int, wire: bool
) -> None:
    short, long = (World(framework=True, wire=wire) for _ in range(2))
    long.ledger._express = NoShortcut(
        entering=long.ledger._entering, decisions=long.ledger._decisions
    )
    for world in (short, long):
        world.play(calls, seed=seed)
        assert [encode(decode(line)) for line in world.lines] == world.lines
    assert short.lines == long.lines
    assert short.ledger.snapshot() == long.ledger.snapshot()
