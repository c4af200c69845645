"""Runs: opened, continued, closed, and forgotten once they are old."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tokenbeat.ledger.report import RunRef
from tokenbeat.usage.call import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.ledger.accounts import Accounts
    from tokenbeat.ledger.bounds import Bounds
    from tokenbeat.ledger.deciding import Decisions

ID_LENGTH: Final = 128
"""Characters of a run id, thread id, user, label name or value; longer ones end in a hash."""
MAX_LABELS: Final = 16


def bounded(text: str) -> str:
    """``text`` in at most `ID_LENGTH` characters, still telling different texts apart."""
    if len(text) <= ID_LENGTH:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[: ID_LENGTH - 17]}-{digest}"


class Running:
    """The runs that are in memory.

    Args:
        decisions: Where records go.
        accounts: The books' content, for their bounds.
        bounds: How many runs there may be and how long closed ones stay.
    """

    def __init__(self, *, decisions: Decisions, accounts: Accounts, bounds: Bounds) -> None:
        self._decisions = decisions
        self._accounts = accounts
        self._bounds = bounds
        self._refs: dict[str, RunRef] = {}
        self.acknowledged: int | None = None

    def open(
        self, run_id: str, *, thread_id: str | None, root_agent: str | None, user: str | None,
        labels: Mapping[str, str] | None,
    ) -> RunRef:  # fmt: skip
        """Opens a run, or continues the one of this id."""
        run_id = bounded(run_id)
        ref = self._refs.get(run_id)
        if ref is None and self._full:
            run_id = OTHER
            thread_id = root_agent = user = labels = None
            ref = self._refs.get(run_id)
        facts = {
            "thread_id": None if thread_id is None else bounded(thread_id),
            "root_agent": root_agent,
            "user": None if user is None else bounded(user),
        }
        kept = None
        if labels is not None:
            kept = tuple((bounded(n), bounded(v)) for n, v in list(labels.items())[:MAX_LABELS])
        if ref is None:
            part = self._decisions.run_changed(run_id, None, status="open", labels=kept, **facts)
            ref = RunRef(run_id, part=part, thread_id=facts["thread_id"], root_agent=root_agent)
            self._refs[run_id] = ref
            return ref
        ref.opened += 1
        if ref.opened == 1 or kept or any(facts.values()):
            self._decisions.run_changed(run_id, ref.part, status="open", labels=kept, **facts)
        return ref

    def close(self, ref: RunRef, *, status: str) -> None:
        """Closes a run once; it ends when it was closed as often as it was opened."""
        if ref.opened == 0:
            return
        ref.opened -= 1
        if ref.opened == 0 and not ref.evicted and ref.run_id != OTHER:
            self._decisions.run_changed(ref.run_id, ref.part, status=status)

    def current(self, ref: RunRef) -> RunRef:
        """The run to enter a call in instead of one that was forgotten: a new part of it."""
        known = self._refs.get(ref.run_id)
        if known is None:
            known = self.open(
                ref.run_id, thread_id=ref.thread_id, root_agent=ref.root_agent, user=None,
                labels=None,
            )  # fmt: skip
            # The part only takes late usage: its status stands in the part that was forgotten.
            known.opened = 0
        return known

    @property
    def _full(self) -> bool:
        return (
            len(self._refs) >= self._bounds.runs
            or self._accounts.run_cells >= self._bounds.run_cells
        )

    def forget(self, now_ns: int, *, acknowledging: bool) -> None:
        """Drops closed runs that are old enough, so that memory stays bounded."""
        bounds = self._bounds
        for run, account in list(self._accounts.runs.items()):
            ref = self._refs.get(run[0])
            if ref is not None and ref.opened:
                continue
            age_ns = now_ns - account.touched_ns
            if acknowledging:
                acknowledged = (self.acknowledged or 0) >= account.changed
                gone = acknowledged and age_ns > bounds.run_closed_ns
            else:
                gone = age_ns > bounds.run_forgotten_ns
            if gone:
                self._accounts.forget_run(run)
                if ref is not None and ref.part == run[1]:
                    ref.evicted = True
                    del self._refs[run[0]]
