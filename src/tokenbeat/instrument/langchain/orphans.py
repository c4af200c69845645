"""Finds calls that LangChain will never tell the end of.

A cancelled or timed-out ``ainvoke``, and a prompt beside a failed one, fire no event at all. Three
signals find them, and none is enough alone: LangChain drops the run's id (not while a tracer keeps
it), the task that started the call is over, a run around the call is over.
"""

from __future__ import annotations

import _thread
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from tokenbeat.attribution.ending import call_outcome
from tokenbeat.guard import contained

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterable
    from uuid import UUID

    from tokenbeat.instrument.langchain.call_ends import CallEnds
    from tokenbeat.instrument.langchain.open_call import Calls, OpenCall
    from tokenbeat.usage.call import Outcome

GRACE_S: Final = 2.0
"""Seconds that a call may outlive the task that started it, unless that was cancelled: streams of
the third version of LangChain's events are read by a task of their own."""

_TASK_DONE = contained("langchain.task_done")
_DROPPED = contained("langchain.run_dropped")
_BURYING = contained("langchain.burying")


class Orphans:
    """Watches open calls.

    Args:
        calls: The open ones.
        ends: Where they are ended.
        grace_s: See `GRACE_S`.
    """

    def __init__(self, *, calls: Calls, ends: CallEnds, grace_s: float = GRACE_S) -> None:
        self._calls = calls
        self._ends = ends
        self._grace_s = grace_s
        self._dropped: deque[int] = deque()

    def watch(self, call: OpenCall, run_id: UUID) -> None:
        """Begins to watch a call that starts."""
        call.lost = ref(run_id, partial(self._run_dropped, call.key))
        task = call.task
        if task is not None:
            call.when_done = partial(self._task_done, call)
            task.add_done_callback(call.when_done)

    def of_ended_run(self, calls: Iterable[OpenCall], *, error: BaseException | None) -> None:
        """These lost the run around them, and with it the stack that they ran on."""
        outcome: Outcome = "abandoned"
        if error is not None and call_outcome(error) == "cancelled":
            outcome = "cancelled"
        for call in calls:
            self._ends.orphaned(call, outcome="abandoned" if call.report.stream else outcome)

    def all_abandoned(self) -> None:
        """Nothing will be heard of any call any more."""
        for call in list(self._calls.open.values()):
            self._ends.orphaned(call, outcome="abandoned")

    def _task_done(self, call: OpenCall, task: Task[Any]) -> None:
        with _TASK_DONE:
            if self._calls.open.get(call.key) is not call:
                return
            if task.cancelled():
                self._ends.orphaned(call, outcome="cancelled")
            else:
                task.get_loop().call_later(self._grace_s, self._give_up, call)

    def _give_up(self, call: OpenCall) -> None:
        with _TASK_DONE:
            outcome: Outcome = "abandoned" if call.report.stream else "cancelled"
            self._ends.orphaned(call, outcome=outcome)

    def _run_dropped(self, key: int, _: ref[Any]) -> None:
        """LangChain forgot a run. This can come in the middle of anything, under any lock.

        So nothing is done here but to note it, and to have it done where no lock is held.
        """
        with _DROPPED:
            if key in self._calls.open:
                self._dropped.append(key)
                try:
                    _thread.start_new_thread(self.bury_dropped, ())
                except RuntimeError:
                    return  # the interpreter ends: what is open then is entered as unfinished

    def bury_dropped(self) -> None:
        """Ends the calls whose runs LangChain forgot."""
        with _BURYING:
            while self._dropped:
                try:
                    key = self._dropped.popleft()
                except IndexError:
                    return  # another thread was faster
                call = self._calls.open.get(key)
                if call is not None:
                    awaited = call.task is not None and not call.report.stream
                    outcome: Outcome = "cancelled" if awaited else "abandoned"
                    self._ends.orphaned(call, outcome=outcome)
