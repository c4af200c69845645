"""Model runs as they start, stream and end: from LangChain's words to reports for the ledger."""

from __future__ import annotations

import _thread
import threading
from collections import deque
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from tokenbeat.attribution import Scope, enter
from tokenbeat.attribution.carrying import leave
from tokenbeat.attribution.ending import call_outcome, error_type
from tokenbeat.attribution.scope import current_task_or_none
from tokenbeat.guard import contained
from tokenbeat.instrument.langchain.answered import Answer, read_answer, says_nothing
from tokenbeat.instrument.langchain.asked import request_model, request_params, server
from tokenbeat.instrument.langchain.caller_of import caller_of
from tokenbeat.instrument.langchain.open_call import Calls, OpenCall, SharedRequest
from tokenbeat.instrument.langchain.providers import provider_name
from tokenbeat.ledger.process import books
from tokenbeat.ledger.report import CallToken

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from tokenbeat.instrument.langchain.road import Road
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.caller import Caller

SOURCE: Final = "langchain"
_GRACE_S: Final = 2.0
"""How long a call may outlive the task that started it before it is given up: streams of the third
version of LangChain's events are read by a task of their own."""
_MOST_SHARED: Final = 256

_TASK_DONE = contained("langchain.task_done")
_LOST = contained("langchain.run_dropped")
_BURYING = contained("langchain.burying")


class Meter:
    """Reports model runs to the books, and finds those that never end."""

    def __init__(self, *, calls: Calls, road: Road) -> None:
        self._calls = calls
        self._road = road
        self._shared: dict[int, SharedRequest] = {}
        self._tokens: dict[int, tuple[object, CallToken, int]] = {}
        self._dropped: deque[int] = deque()

    # Start ---------------------------------------------------------------------------------

    def started(  # noqa: PLR0913 what LangChain tells
        self,
        operation: str,
        *,
        serialized: Mapping[str, Any] | None,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        params: Mapping[str, Any],
        batch_size: int,
    ) -> None:
        """A model run starts: nothing has been sent yet."""
        key = run_id.int
        if key in self._calls.open:
            return  # one handler that stands in two places of a configuration
        parent, around, inside = standing = self._road.standing(parent_run_id)
        shared = self._shared.get(id(params)) if batch_size > 1 else None
        ledger = books()
        if shared is not None and shared.params is params:
            report = shared.report
            scope = self._scope(operation, around, report.caller, report.agent)
            scope.token, scope.span = shared.scope.token, shared.scope.span
            shared.missing -= 1
            if not shared.missing:
                self._shared.pop(id(params), None)
        else:
            caller, agent = caller_of(standing, tags=tags, metadata=metadata)
            scope = self._scope(operation, around, caller, agent)
            scope.token = self._token(params, batch_size=batch_size, operation=operation)
            report = ledger.start(
                source=SOURCE,
                operation=operation,
                provider=provider_name(metadata.get("ls_provider")),
                request_model=request_model(params, metadata),
                caller=caller,
                agent=agent,
                run=scope.run,
                inside=inside,
                member_of=scope.token,
                scope=scope,
            )
            report.request_params = request_params(params)
            report.server_address, report.server_port = server(serialized)
            thread_id = metadata.get("thread_id")
            report.conversation_id = scope.thread_id if thread_id is None else str(thread_id)
            shared = None
            if batch_size > 1 and operation == "text_completion":
                shared = SharedRequest(params, report=report, scope=scope, items=batch_size)
                if len(self._shared) >= _MOST_SHARED:
                    self._shared.pop(next(iter(self._shared)), None)
                self._shared[id(params)] = shared
        task = current_task_or_none()
        call = OpenCall(
            key,
            ledger=ledger,
            report=report,
            scope=scope,
            parent=parent,
            lane=threading.get_ident() if task is None else id(task),
            task=task,
        )
        call.request = shared
        call.lost = ref(run_id, partial(self._run_dropped, key))
        if task is not None:
            call.when_done = partial(self._task_done, call)
            task.add_done_callback(call.when_done)
        self._calls.add(call)
        enter(scope)

    def _scope(
        self, operation: str, around: Scope | None, caller: Caller, agent: str | None
    ) -> Scope:
        """The scope of one call: observers hear of the call itself, not of it."""
        scope = Scope("call", operation, parent=around, caller=caller, started_ns=0, agent=agent)
        if around is not None:
            scope.run, scope.thread_id, scope.origin = around.run, around.thread_id, around.origin
        return scope

    def _token(self, params: object, *, batch_size: int, operation: str) -> CallToken:
        """The token of the framework call; its chat prompts, one request each, share it."""
        if batch_size <= 1 or operation != "chat":
            return CallToken()
        key = id(params)
        known = self._tokens.pop(key, None)
        if known is not None and known[0] is params:
            _, token, missing = known
        else:
            token, missing = CallToken(), batch_size
        if missing > 1:
            if len(self._tokens) >= _MOST_SHARED:
                self._tokens.pop(next(iter(self._tokens)), None)
            self._tokens[key] = (params, token, missing - 1)
        return token

    # Chunks --------------------------------------------------------------------------------

    def chunk(self, run_id: UUID, chunk: Any) -> None:  # noqa: ANN401 LangChain's, of any version
        """A chunk of a stream arrived."""
        call = self._calls.open.get(run_id.int)
        if call is None:
            return
        report = call.report
        now_ns = monotonic_ns()
        if report.first_chunk_ns is None:
            report.first_chunk_ns = now_ns
            report.stream = True
        report.last_chunk_ns = now_ns
        report.chunks += 1
        message = getattr(chunk, "message", None)
        if message is not None:
            told = message.usage_metadata
            if told is not None and not says_nothing(told):
                call.hear(told)

    # Ends ----------------------------------------------------------------------------------

    def ended(
        self,
        run_id: UUID,
        *,
        response: Any,  # noqa: ANN401 LangChain's, of any version
        error: BaseException | None,
    ) -> None:
        """A model run ended, well or with an error."""
        key = run_id.int
        call = self._calls.close(key)
        again = call is None
        if call is None:
            call = self._calls.ended(key)
            if call is None:
                return  # it started before this handler was there
        report = call.report
        if call.told:
            call.read_told()
        answer = read_answer(
            response,
            provider=report.provider,
            request_model=report.request_model,
            raw_heard=call.raw_heard,
            heard=report.heard,
        )
        if not again:
            self._leave(call)
        elif call.request is not None:
            return  # its request was ended by all of its prompts
        self._report_end(call, answer, error=error)

    def _report_end(self, call: OpenCall, answer: Answer, *, error: BaseException | None) -> None:
        shared = call.request
        if shared is not None:
            shared.ends.append((answer, error))
            shared.open -= 1
            if shared.open > shared.missing:
                return
            answer, error = _merged(shared)
        report = call.report
        usage, anomalies, malformed = answer.reported
        if call.heard_chunks > 1 and report.heard is not None:
            # LangChain adds the usage of all chunks up, also where each repeats a growing total.
            usage = report.heard
        outcome: Outcome = "ok" if error is None else call_outcome(error)
        report.finish_reasons = answer.finish_reasons
        call.ledger.end(
            report,
            outcome=outcome,
            usage=usage,
            partial=malformed or (error is not None and usage is not None),
            response_model=answer.model,
            response_id=answer.response_id,
            items=1 if shared is None else shared.items,
            cached=answer.cached,
            error_type=None if error is None else error_type(error),
            anomalies=anomalies,
        )

    @staticmethod
    def _leave(call: OpenCall) -> None:
        call.scope.open = False
        leave(call.scope)

    # Calls that never end ------------------------------------------------------------------

    def orphaned(self, call: OpenCall, *, outcome: Outcome) -> None:
        """A call will not be told the end of: it is entered with what its chunks told."""
        if self._calls.close(call.key) is not call:
            return
        self._leave(call)
        report = call.report
        if call.told:
            call.read_told()
        shared = call.request
        if shared is not None:
            shared.open -= 1
            if shared.open > shared.missing:
                return
            if shared.ends:
                answer, error = _merged(shared)
                self._finish_shared(call, answer, error=error)
                return
        call.ledger.end(report, outcome=outcome, usage=report.heard, partial=True)

    def _finish_shared(
        self, call: OpenCall, answer: Answer, *, error: BaseException | None
    ) -> None:
        shared = call.request
        call.request = None
        try:
            self._report_end(call, answer, error=error)
        finally:
            call.request = shared

    def orphans(self, calls: Iterable[OpenCall], *, error: BaseException | None) -> None:
        """These lost the run around them, and with it their stack."""
        outcome: Outcome = "abandoned"
        if error is not None and call_outcome(error) == "cancelled":
            outcome = "cancelled"
        for call in calls:
            self.orphaned(call, outcome="abandoned" if call.report.stream else outcome)

    def abandon_all(self) -> None:
        """Nothing will be heard of these any more."""
        for call in list(self._calls.open.values()):
            self.orphaned(call, outcome="abandoned")

    def _task_done(self, call: OpenCall, task: Task[Any]) -> None:
        with _TASK_DONE:
            if self._calls.open.get(call.key) is not call:
                return
            if task.cancelled():
                self.orphaned(call, outcome="cancelled")
            else:
                task.get_loop().call_later(_GRACE_S, self._give_up, call)

    def _give_up(self, call: OpenCall) -> None:
        with _TASK_DONE:
            self.orphaned(call, outcome="abandoned" if call.report.stream else "cancelled")

    def _run_dropped(self, key: int, _: ref[Any]) -> None:
        """LangChain forgot a run. This can come in the middle of anything, under any lock.

        So nothing is done here but to note it, and to have it done where no lock is held.
        """
        with _LOST:
            if key in self._calls.open:
                self._dropped.append(key)
                try:
                    _thread.start_new_thread(self._bury, ())
                except RuntimeError:
                    return  # the interpreter ends: what is open then is entered as unfinished

    def _bury(self) -> None:
        with _BURYING:
            while True:
                try:
                    key = self._dropped.popleft()
                except IndexError:
                    return
                call = self._calls.open.get(key)
                if call is not None:
                    waits = call.task is not None and not call.report.stream
                    self.orphaned(call, outcome="cancelled" if waits else "abandoned")


def _merged(shared: SharedRequest) -> tuple[Answer, BaseException | None]:
    """One answer of what the prompts of one request were told: usage stands on one of them."""
    first: Answer = shared.ends[0][0]
    error: BaseException | None = None
    answer = first
    for told, failed in shared.ends:
        error = error or failed
        if answer.reported.usage is None and told.reported.usage is not None:
            answer = told
    return answer, error
