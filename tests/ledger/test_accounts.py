"""The books' content: any order of records gives the same sums."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.ledger.accounts import Accounts
from tokenbeat.ledger.records import End, Entry, Link, Notes, Raise, Record, RunChange, Start
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import COUNT_FIELDS, INPUT, OK, Counts

KEY = CellKey("chat", "openai", "m", "m", "lead", "lead")
RUN = ("r1", 1)


def counts(tokens: int) -> Counts:
    vector = [0] * len(COUNT_FIELDS)
    vector[OK], vector[INPUT] = 1, tokens
    return tuple(vector)


def test_a_call_of_a_run_whose_opening_has_not_been_applied_yet_is_kept() -> None:
    accounts = Accounts()
    accounts.apply(End(2, 5, 1, Entry(KEY, RUN, "lead#2"), counts(10)))
    accounts.apply(RunChange(1, 4, "r1", 1, "open", user="ann", labels=(("a", "b"),)))
    state = accounts.runs[RUN].state(since=0)
    assert (state.user, state.labels, state.changed) == ("ann", {"a": "b"}, 2)
    assert state.cells[0].key.caller == "lead#2"


def test_a_link_to_what_has_ended_is_ignored() -> None:
    accounts = Accounts()
    entry = Entry(KEY, None, "lead")
    accounts.apply(Start(1, 1, 1, "fw", entry, None))
    accounts.apply(Start(2, 1, 2, "wire", entry, None))
    accounts.apply(Link(3, 1, 2, 1))
    assert [start.call for start in accounts.open_leaves()] == [2]
    accounts.apply(End(4, 1, 1, None, None))
    accounts.apply(Link(5, 1, 2, 1))
    assert accounts.open_calls == 1
    assert accounts.envelopes == set()


def test_a_forgotten_run_takes_its_cells_along() -> None:
    accounts = Accounts()
    accounts.apply(End(1, 5, 1, Entry(KEY, RUN, "lead"), counts(10)))
    assert accounts.run_cells == 1
    accounts.forget_run(RUN)
    accounts.forget_run(RUN)
    assert (accounts.run_cells, accounts.totals[INPUT]) == (0, 10)


def end(call: int, tokens: int, caller: str, run: tuple[str, int] | None) -> Record:
    entry = Entry(KEY._replace(caller=caller), run, caller)
    return End(0, 0, call, entry, counts(tokens))


def rise(tokens: int) -> Record:
    notes = Notes(("bad",), (("gap", tokens),))
    return Raise(0, 0, Entry(KEY, None, "lead"), counts(tokens), notes)


tokens = st.integers(0, 100)
runs = st.sampled_from([None, ("r1", 1), ("r2", 7)])
records = st.one_of(
    st.builds(end, st.integers(1, 5), tokens, st.sampled_from(["a", "b"]), runs),
    st.builds(rise, tokens),
)


@given(st.lists(records, max_size=20), st.integers(0, 2**32))
def test_the_order_of_application_changes_no_sum(drawn: list[Record], seed: int) -> None:
    numbered = [record._replace(ordinal=n, at_ns=n) for n, record in enumerate(drawn, start=1)]
    shuffled = random.Random(seed).sample(numbered, len(numbered))  # noqa: S311 an order
    one, two = Accounts(), Accounts()
    for record in numbered:
        one.apply(record)
    for record in shuffled:
        two.apply(record)
    assert one.cells == two.cells
    assert (one.totals, one.anomalies, one.reconciliations) == (
        two.totals, two.anomalies, two.reconciliations,
    )  # fmt: skip
    assert {run: a.cells for run, a in one.runs.items()} == {
        run: a.cells for run, a in two.runs.items()
    }
