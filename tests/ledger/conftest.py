"""A ledger on a clock that stands still, and what tests say about its calls in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.bounds import DEFAULT_BOUNDS, SECOND_NS, Bounds
from tokenbeat.ledger.records import Opened, decode
from tokenbeat.ledger.replay import replay_records
from tokenbeat.ledger.report import CallToken, Report
from tokenbeat.usage.caller import UNATTRIBUTED, Caller
from tokenbeat.usage.counts import COUNT_FIELDS
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenbeat.usage.call import Outcome

LEAD = Caller().child("lead_agent", "lead_agent")


class LineJournal:
    """A journal in memory: the lines, as a file would hold them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    @property
    def bytes_written(self) -> int:
        return sum(map(len, self.lines))

    def append(self, line: bytes) -> None:
        self.lines.append(line)

    def sync(self) -> None:
        return

    def close(self) -> None:
        return


class Script:
    """Drives a ledger as a framework ("fw") and a wire-level source ("wire") would."""

    lead = LEAD

    def __init__(self, *, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.clock = ManualClock()
        self.journal = LineJournal()
        self.ledger = Ledger(
            incarnation="a" * 16, clock=self.clock, journal=self.journal, bounds=bounds
        )

    def framework(
        self, *, model: str | None = "gpt-4o", caller: Caller = LEAD,
        batch: CallToken | None = None, inside: Report | None = None, operation: str = "chat",
    ) -> Report:  # fmt: skip
        return self.ledger.start(
            source="fw", operation=operation, provider="openai", request_model=model,
            caller=caller, inside=inside, member_of=batch or CallToken(),
        )  # fmt: skip

    def wire(
        self, token: Report | CallToken | None = None, *, model: str | None = "gpt-4o",
        operation: str = "chat", caller: Caller = UNATTRIBUTED,
    ) -> Report:  # fmt: skip
        if isinstance(token, Report):
            token = token.member_of
        return self.ledger.start(
            source="wire", operation=operation, provider="openai", request_model=model,
            caller=caller, token=token,
        )  # fmt: skip

    def end(  # noqa: PLR0913 as the ledger's own
        self, report: Report, usage: tuple[int, int] | TokenUsage | None = None, *,
        outcome: Outcome = "ok", response_id: str | None = None, cached: bool = False,
        partial: bool = False, model: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(usage, tuple):
            usage = TokenUsage(input_tokens=usage[0], output_tokens=usage[1])
        self.ledger.end(
            report, outcome=outcome, usage=usage, response_id=response_id, cached=cached,
            partial=partial, response_model=model,
        )  # fmt: skip

    def totals(self) -> dict[str, int]:
        counts = self.ledger.snapshot().totals
        return {name: n for name, n in zip(COUNT_FIELDS, counts, strict=True) if n}

    def by_caller(self) -> dict[str, dict[str, int]]:
        rows: dict[str, dict[str, int]] = {}
        for cell in self.ledger.snapshot().cells:
            row = rows.setdefault(cell.key.caller, {})
            for name, n in zip(COUNT_FIELDS, cell.counts, strict=True):
                if n:
                    row[name] = row.get(name, 0) + n
        return rows

    def reconciliations(self) -> dict[str, int]:
        return dict(self.ledger.snapshot().books.reconciliations)

    def assert_replays(self) -> None:
        """The journal's lines, through the same code, give the same books."""
        records = [decode(line) for line in self.journal.lines]
        accounts, revision, missing = replay_records(
            record for record in records if not isinstance(record, Opened)
        )
        live = self.ledger._accounts
        assert missing == ()
        assert revision == self.ledger.revision
        assert accounts.cells == live.cells
        assert accounts.totals == live.totals
        assert set(accounts.open) == set(live.open)
        assert set(accounts.held) == set(live.held)
        assert accounts.open_calls == live.open_calls
        assert (accounts.anomalies, accounts.reconciliations, accounts.folded) == (
            live.anomalies, live.reconciliations, live.folded,
        )  # fmt: skip
        assert {run: account.state(since=0) for run, account in accounts.runs.items()} == {
            run: account.state(since=0) for run, account in live.runs.items()
        }


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def script_with() -> Callable[[Bounds], Script]:
    return lambda bounds: Script(bounds=bounds)


@pytest.fixture
def replayed(script: Script) -> Iterator[None]:
    """The scenario of the test must replay into equal books."""
    yield
    script.clock.advance(10 * SECOND_NS)
    script.ledger.expire()
    script.assert_replays()
