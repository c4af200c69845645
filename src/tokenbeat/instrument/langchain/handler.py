"""The one callback handler: it translates LangChain's events and keeps our errors to itself.

Prompts, messages, answers, tool arguments and inputs are passed to it by LangChain. None of them is
looked at.
"""

# ruff: noqa: ANN401, ARG002, PLR0913 LangChain decides what it passes

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from tokenbeat.guard import contained
from tokenbeat.instrument.langchain.call_ends import CallEnds
from tokenbeat.instrument.langchain.framework_run import FrameworkRuns
from tokenbeat.instrument.langchain.metering import Meter
from tokenbeat.instrument.langchain.open_call import Calls
from tokenbeat.instrument.langchain.orphans import Orphans
from tokenbeat.instrument.langchain.road import Road
from tokenbeat.instrument.langchain.standing import Standings, run_name
from tokenbeat.usage.reported import MAX_CALL_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

_KINDS = ("llm", "chat_model", "chain", "agent", "retriever")
_NOTHING: Mapping[str, Any] = {}

_MODEL_START = contained("langchain.on_chat_model_start")
_TOKEN = contained("langchain.on_llm_new_token")
_MODEL_END = contained("langchain.on_llm_end")
_MODEL_ERROR = contained("langchain.on_llm_error")
_CHAIN_START = contained("langchain.on_chain_start")
_CHAIN_END = contained("langchain.on_chain_end")
_TOOL_START = contained("langchain.on_tool_start")


class TokenbeatHandler(BaseCallbackHandler):
    """Hears everything that LangChain runs in this process.

    It runs inline: in the thread and context of the work itself. There is one of it for each
    installation; copies are the same object, so that a deep-copied configuration counts nothing
    twice.
    """

    run_inline = True
    raise_error = False

    def __init__(self, *, max_call_tokens: int = MAX_CALL_TOKENS) -> None:
        self._max_call_tokens = max_call_tokens
        self._begin()

    def _begin(self) -> None:
        self._calls = Calls(most=self._max_call_tokens)
        self._open = self._calls.open
        runs = FrameworkRuns()
        standings = Standings(runs=runs, calls=self._calls)
        self._road = Road(runs=runs, standings=standings)
        self._ends = CallEnds(calls=self._calls)
        self._orphans = Orphans(calls=self._calls, ends=self._ends)
        self._meter = Meter(calls=self._calls, standings=standings, orphans=self._orphans)

    def __copy__(self) -> TokenbeatHandler:
        return self

    def __deepcopy__(self, memo: object) -> TokenbeatHandler:
        return self

    def __bool__(self) -> bool:
        # LangChain puts a falsy handler's class in its place, which is None, and calls that.
        return True

    # LangChain asks these before each event, of each chunk too: plain attributes are read fastest.
    # They are properties in its own class. Starts and errors tell of retries; the application's own
    # events are not looked at.
    ignore_llm: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_chat_model: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_chain: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_agent: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_retriever: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_retry: bool = True  # pyright: ignore[reportIncompatibleMethodOverride]
    ignore_custom_event: bool = True  # pyright: ignore[reportIncompatibleMethodOverride]

    def silence(self) -> None:
        """Stops hearing anything, also of what runs now; what is open is entered as abandoned."""
        for kind in _KINDS:
            setattr(self, f"ignore_{kind}", True)
        self._orphans.all_abandoned()
        self._road.abandon_all()

    def forget(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._begin()

    # Models --------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is about to send a request."""
        with _MODEL_START:
            self._meter.started(
                "chat", serialized=serialized, run_id=run_id, parent_run_id=parent_run_id,
                tags=tags or (), metadata=metadata or _NOTHING,
                params=kwargs.get("invocation_params") or _NOTHING,
                batch_size=kwargs.get("batch_size") or 1,
            )  # fmt: skip

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text-completion model is about to send a request."""
        with _MODEL_START:
            self._meter.started(
                "text_completion", serialized=serialized, run_id=run_id,
                parent_run_id=parent_run_id, tags=tags or (), metadata=metadata or _NOTHING,
                params=kwargs.get("invocation_params") or _NOTHING,
                batch_size=kwargs.get("batch_size") or 1,
            )  # fmt: skip

    def on_llm_new_token(  # LangChain passes token= by name
        self,
        token: Any,
        *,
        chunk: Any = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A chunk of a stream arrived.

        Nothing of this can fail but what is guarded: a guard around it all would be a third of its
        price, hundreds of times in each answer.
        """
        call = self._open.get(run_id.int)
        if call is None:
            return
        report = call.report
        report.last_chunk_ns = now_ns = monotonic_ns()
        if report.first_chunk_ns is None:
            report.first_chunk_ns = now_ns
            report.stream = True
        report.chunks += 1
        told = getattr(getattr(chunk, "message", None), "usage_metadata", None)
        if told is not None:
            with _TOKEN:
                self._meter.chunk(call, told)

    def on_llm_end(
        self,
        response: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A model answered."""
        with _MODEL_END:
            self._ends.told(run_id, response=response, error=None)

    def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A model failed, or its stream was given up."""
        with _MODEL_ERROR:
            self._ends.told(run_id, response=kwargs.get("response"), error=error)

    # Chains, graphs, nodes, retrievers -----------------------------------------------------

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain, graph or node starts."""
        with _CHAIN_START:
            self._road.chain_started(
                run_name(kwargs.get("name"), serialized), run_id=run_id,
                parent_run_id=parent_run_id, tags=tags or (), metadata=metadata or _NOTHING,
                depth=1,
            )  # fmt: skip

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It ended well."""
        with _CHAIN_END:
            self._ended(run_id, error=None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed, was cancelled or given up."""
        with _CHAIN_END:
            self._ended(run_id, error=error)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever starts: some ask a model."""
        with _CHAIN_START:
            self._road.chain_started(
                run_name(kwargs.get("name"), serialized), run_id=run_id,
                parent_run_id=parent_run_id, tags=tags or (), metadata=metadata or _NOTHING,
                depth=1,
            )  # fmt: skip

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It ended well."""
        with _CHAIN_END:
            self._ended(run_id, error=None)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed."""
        with _CHAIN_END:
            self._ended(run_id, error=error)

    # Tools ---------------------------------------------------------------------------------

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool starts."""
        with _TOOL_START:
            tool_call_id = kwargs.get("tool_call_id")
            self._road.tool_started(
                run_name(kwargs.get("name"), serialized),
                run_id=run_id,
                parent_run_id=parent_run_id,
                tags=tags or (),
                metadata=metadata or _NOTHING,
                tool_call_id=tool_call_id if isinstance(tool_call_id, str) else None,
            )

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It ended well."""
        with _CHAIN_END:
            self._ended(run_id, error=None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed."""
        with _CHAIN_END:
            self._ended(run_id, error=error)

    def _ended(self, run_id: UUID, *, error: BaseException | None) -> None:
        orphans = self._road.ended(run_id, error=error)
        if orphans:
            self._orphans.of_ended_run(orphans, error=error)
