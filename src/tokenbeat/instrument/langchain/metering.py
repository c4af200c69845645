"""Model runs as they start and stream: from LangChain's words to reports for the ledger."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current

from tokenbeat.attribution import Scope
from tokenbeat.attribution.carrying import enter
from tokenbeat.attribution.scope import current_task_or_none
from tokenbeat.instrument.langchain.answered import says_nothing
from tokenbeat.instrument.langchain.asked import request_model, request_params, server
from tokenbeat.instrument.langchain.caller_of import caller_of
from tokenbeat.instrument.langchain.open_call import OpenCall, SharedRequest
from tokenbeat.instrument.langchain.providers import provider_name
from tokenbeat.instrument.langchain.standing import NOWHERE
from tokenbeat.ledger.process import books
from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.caller import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from tokenbeat.instrument.langchain.open_call import Calls
    from tokenbeat.instrument.langchain.orphans import Orphans
    from tokenbeat.instrument.langchain.standing import Standing, Standings
    from tokenbeat.ledger.report import Report

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
        context = get_current()
        if parent_run_id is None and not context:
            standing = NOWHERE
        else:
            standing = self._standings.of(parent_run_id, context)
        shared = None if batch_size <= 1 else self._shared.get(id(params))
        if shared is not None and shared.params is params:
            call = self._further_prompt(key, shared, standing=standing)
        else:
            parent, around, inside = standing
            if standing is NOWHERE and not tags:
                caller, agent = UNATTRIBUTED, None
            else:
                caller, agent = caller_of(standing, tags=tags, metadata=metadata)
            ledger = books()
            call = OpenCall(
                key, operation=operation, ledger=ledger, within=parent, around=around,
                caller=caller, agent=agent,
            )  # fmt: skip
            call.token = token = (
                CallToken()
                if batch_size <= 1
                else self._token(params, batch_size=batch_size, operation=operation)
            )
            call.report = report = ledger.start(
                source=SOURCE,
                operation=operation,
                provider=provider_name(metadata.get("ls_provider")),
                request_model=request_model(params, metadata),
                caller=caller,
                agent=agent,
                run=call.run,
                inside=inside,
                member_of=token,
                scope=call,
            )
            self._describe(report, serialized=serialized, metadata=metadata, params=params)
            if batch_size > 1 and operation == "text_completion":
                self._share(call, params, items=batch_size)
        task = current_task_or_none()
        if task is None:
            lane = get_ident()
        else:
            lane, call.task = id(task), task
        self._calls.add(call)
        self._orphans.watch(call, run_id)
        enter(call, former=context, lane=lane)

    @staticmethod
    def _describe(
        report: Report,
        *,
        serialized: Mapping[str, Any] | None,
        metadata: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> None:
        """What only spans and some series show of a request."""
        settings = request_params(params)
        if settings is not None:
            report.request_params = settings
        host, port = server(serialized)
        if host is not None:
            report.server_address, report.server_port = host, port
        thread_id = metadata.get("thread_id")
        if thread_id is not None:
            report.conversation_id = str(thread_id)
        elif isinstance(report.scope, Scope):
            report.conversation_id = report.scope.thread_id

    # Several prompts -----------------------------------------------------------------------

    def _further_prompt(self, key: int, shared: SharedRequest, *, standing: Standing) -> OpenCall:
        """Another prompt of a request that is in the books already."""
        report, first = shared.report, shared.first
        call = OpenCall(
            key, operation=report.operation, ledger=books(), within=standing.parent,
            around=standing.scope, caller=report.caller, agent=report.agent,
        )  # fmt: skip
        call.report, call.request = report, shared
        call.token, call.span = first.token, first.span
        shared.missing -= 1
        if not shared.missing:
            self._shared.pop(id(shared.params), None)
        return call

    def _share(self, call: OpenCall, params: object, *, items: int) -> None:
        """The first prompt of a request that LangChain starts once for each."""
        call.request = SharedRequest(params, first=call, items=items)
        if len(self._shared) >= _MOST_SHARED:
            self._shared.pop(next(iter(self._shared)), None)
        self._shared[id(params)] = call.request

    def _token(self, params: object, *, batch_size: int, operation: str) -> CallToken:
        """The token of the framework call; its chat prompts, one request each, share it."""
        if operation != "chat":
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
            call.hear(told, most=self._calls.most)
