"""Model runs as they start and stream: from LangChain's words to reports for the ledger."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from tokenbeat.attribution import Scope, enter
from tokenbeat.attribution.scope import current_task_or_none
from tokenbeat.instrument.langchain.answered import says_nothing
from tokenbeat.instrument.langchain.asked import request_model, request_params, server
from tokenbeat.instrument.langchain.caller_of import caller_of
from tokenbeat.instrument.langchain.open_call import OpenCall, SharedRequest
from tokenbeat.instrument.langchain.providers import provider_name
from tokenbeat.ledger.process import books
from tokenbeat.ledger.report import CallToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from tokenbeat.instrument.langchain.open_call import Calls
    from tokenbeat.instrument.langchain.orphans import Orphans
    from tokenbeat.instrument.langchain.standing import Standings
    from tokenbeat.usage.caller import Caller

SOURCE: Final = "langchain"
_MOST_SHARED: Final = 256


class Meter:
    """Reports model runs to the books as they start and stream.

    Args:
        calls: The open ones.
        standings: Tells where a run stands.
        orphans: Watches calls from their start.
    """

    def __init__(self, *, calls: Calls, standings: Standings, orphans: Orphans) -> None:
        self._calls = calls
        self._standings = standings
        self._orphans = orphans
        self._shared: dict[int, SharedRequest] = {}
        self._tokens: dict[int, tuple[object, CallToken, int]] = {}

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
        parent, around, inside = standing = self._standings.of(parent_run_id)
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
        self._calls.add(call)
        self._orphans.watch(call, run_id)
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

    def chunk(self, call: OpenCall, told: Any) -> None:  # noqa: ANN401 LangChain's, of any version
        """A chunk told what its stream has used."""
        if not says_nothing(told):
            call.hear(told)
