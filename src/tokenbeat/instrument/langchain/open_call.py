"""A model run that has started and not ended, and the table of those and the ended ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenbeat.attribution import Scope
from tokenbeat.usage.combined import merge_stream
from tokenbeat.usage.reported import MAX_CALL_TOKENS, read_usage

if TYPE_CHECKING:
    from asyncio import Task
    from weakref import ref

    from tokenbeat.instrument.langchain.framework_run import FrameworkRun
    from tokenbeat.ledger.books import Ledger
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.caller import Caller

MOST_ENDED: Final = 64
"""Calls whose end was told that are remembered: a second end comes at once or never. What is kept
longer survives Python's garbage collections, each of which it makes dearer for the whole agent."""
MOST_ORPHANS: Final = 2_048
"""Calls that were found out to be over that are remembered: a late end can still raise them."""
_READ_AT_ONCE: Final = 2
_READ_EVERY: Final = 64


class OpenCall(Scope):
    """One model run, which is a scope of kind ``call``: observers hear of the call, not of it.

    Attributes:
        key: ``run_id.int``.
        ledger: The books in which it was started.
        report: It, in the books. Prompts of one text-completion request share one.
        within: The framework run that it is in, or None.
        request: The request that several prompts share, or None.
        task: The asyncio task where it started, or None.
        lost: Calls back when LangChain drops the run's id.
        when_done: What was added to the task's done-callbacks.
        told: Usages that its chunks carried and that were not read yet.
        raw_heard: The chunks' usage as it was given, where there was only one.
        heard_chunks: How many chunks carried usage.
    """

    # Defaults stand on the class, as those of `Scope`.
    report: Report
    kind = "call"
    started_ns = 0
    request: SharedRequest | None = None
    task: Task[Any] | None = None
    lost: ref[Any] | None = None
    when_done: Any = None
    told: list[object] | None = None
    raw_heard: object = None
    heard_chunks = 0

    def __init__(  # noqa: PLR0913 what is known at its start  # pyright: ignore[reportMissingSuperCall] sets what most calls change
        self,
        key: int,
        *,
        operation: str,
        ledger: Ledger,
        within: FrameworkRun | None,
        around: Scope | None,
        caller: Caller,
        agent: str | None,
    ) -> None:
        self.key = key
        self.name = operation
        self.ledger = ledger
        self.within = within
        self.parent = around
        self.caller = caller
        if agent is not None:
            self.agent = agent
        if around is None:
            self.root = self
        else:
            self.root = around.root
            self.run, self.thread_id, self.origin = around.run, around.thread_id, around.origin

    def hear(self, raw: object, *, most: int) -> None:
        """A chunk carried usage. The first ones are read at once, of many others some at a time."""
        self.heard_chunks += 1
        self.raw_heard = raw if self.heard_chunks == 1 else None
        if self.told is None:
            self.told = []
        self.told.append(raw)
        if self.heard_chunks <= _READ_AT_ONCE or len(self.told) >= _READ_EVERY:
            self.read_told(most=most)

    def read_told(self, *, most: int) -> None:
        """Reads what chunks have told since the last time into ``report.heard``."""
        told, self.told = self.told, None
        report = self.report
        for raw in told or ():
            reported = read_usage(raw, provider=report.provider, max_call_tokens=most)
            if reported.anomalies:
                self.raw_heard = None  # the end reads it once more and tells what was wrong
            usage = reported.usage
            if usage is not None:
                report.heard = merge_stream(report.heard, usage)


class SharedRequest:
    """One text-completion request with several prompts: LangChain runs each, the provider one.

    Attributes:
        params: LangChain's parameters of the request: their identity is what the prompts share.
        report: The call in the books.
        first: The first prompt.
        missing: Prompts that have not started yet.
        open: Prompts that have not ended yet.
        items: Prompts in all.
        ends: What the ended prompts said.
        outcome: How a prompt ended that nobody told the end of, or None.
    """

    __slots__ = ("ends", "first", "items", "missing", "open", "outcome", "params", "report")

    def __init__(self, params: object, *, first: OpenCall, items: int) -> None:
        self.params = params
        self.report = first.report
        self.first = first
        self.items = items
        self.missing = items - 1
        self.open = items
        self.ends: list[Any] = []
        self.outcome: Outcome | None = None


class Calls:
    """Open calls by key, and those that ended lately.

    Args:
        most: The greatest count of tokens that is believed in one field of a call.
    """

    def __init__(self, *, most: int = MAX_CALL_TOKENS) -> None:
        self.most = most
        self.open: dict[int, OpenCall] = {}
        self._told: dict[int, OpenCall] = {}
        self._orphans: dict[int, OpenCall] = {}

    def add(self, call: OpenCall) -> None:
        """Takes a call in that has started."""
        self.open[call.key] = call
        within = call.within
        if within is not None and within.open:
            within.below[call.key] = call

    def close(self, key: int, *, orphaned: bool = False) -> OpenCall | None:
        """Takes an open call out. Only one of several signals of its end gets it."""
        call = self.open.pop(key, None)
        if call is None:
            return None
        call.lost = None
        task = call.task
        if task is not None:
            when_done = call.when_done
            call.task = call.when_done = None
            if when_done is not None:
                task.remove_done_callback(when_done)
        if call.within is not None:
            call.within.below.pop(key, None)
        kept, most = (self._orphans, MOST_ORPHANS) if orphaned else (self._told, MOST_ENDED)
        kept.pop(key, None)  # an id used again: the later call is the younger one
        kept[key] = call
        if len(kept) > most:
            try:
                del kept[next(iter(kept))]
            except (KeyError, RuntimeError):
                return call  # another thread was faster; it is one more for a moment
        return call

    def ended(self, key: int) -> OpenCall | None:
        """A call that ended lately."""
        return self._told.get(key) or self._orphans.get(key)
