"""Turns counting on and off for LangChain and LangGraph."""

# ruff: noqa: ANN401 the base class decides what is passed

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]  # untyped
    BaseInstrumentor,
)

from tokenbeat.guard import contained
from tokenbeat.ledger.process import on_fork
from tokenbeat.settings import AgentSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from tokenbeat.instrument.langchain.handler import TokenbeatHandler

_INSTRUMENT = contained("langchain.instrument")
_UNINSTRUMENT = contained("langchain.uninstrument")


class LangChainInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # see its import
    """Counts every model call that goes through langchain-core, in every thread and task.

    One handler is offered to LangChain's own hook for such handlers; no class is patched. Entry
    point: ``tokenbeat_langchain``, a name for ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``. So that
    bare threads and pools know who started them, ``opentelemetry-instrumentation-threading`` is
    turned on, too, unless it is on already. ``TOKENBEAT_DISABLED=true`` installs nothing.

    Example:
        ``LangChainInstrumentor().instrument()`` and ``.uninstrument()``.
    """

    _handler: TokenbeatHandler | None = None
    _variable: ContextVar[TokenbeatHandler | None] | None = None
    _watches_forks = False
    _turned_threading_on = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: what is missing is found by importing it."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        """Installs the handler.

        Args:
            kwargs: ``settings``: an ``AgentSettings``; else the environment decides.

        Raises:
            ModuleNotFoundError: langchain-core is not installed; the auto-loader expects that.
        """
        settings = cast("AgentSettings", kwargs.get("settings") or AgentSettings.from_env())
        if settings.disabled:
            return
        # Only where it is instrumented, and outside of the guard: the loader skips what is missing.
        import langchain_core.tracers.context  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]

        with _INSTRUMENT:
            self._install(max_call_tokens=settings.max_call_tokens)

    def _install(self, *, max_call_tokens: int) -> None:
        from langchain_core.tracers.context import register_configure_hook  # noqa: PLC0415

        from tokenbeat.instrument.langchain.handler import TokenbeatHandler  # noqa: PLC0415

        handler = TokenbeatHandler(max_call_tokens=max_call_tokens)
        # The *default* reaches every thread and empty context; a value that is set would not.
        variable: ContextVar[TokenbeatHandler | None] = ContextVar(
            "tokenbeat_langchain", default=handler
        )
        # Not inheritable, LangGraph would not tell of its nodes.
        register_configure_hook(variable, inheritable=True)
        self._handler, self._variable = handler, variable
        if not self._watches_forks:
            self._watches_forks = True
            on_fork(self._forked)
        self._turn_threading_on()

    def _forked(self) -> None:
        if self._handler is not None:
            self._handler.forget()

    def _uninstrument(self, **kwargs: Any) -> None:
        """Removes the handler; runs that are under way are not heard of any more, either."""
        del kwargs
        handler, variable = self._handler, self._variable
        self._handler = self._variable = None
        if handler is None:
            return
        with _UNINSTRUMENT:
            from langchain_core.tracers import context as hooks  # noqa: PLC0415

            # LangChain offers no way to take a hook back. In place: others hold the list, too.
            entries = hooks._configure_hooks  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            entries[:] = [entry for entry in entries if entry[0] is not variable]
            handler.silence()
        self._turn_threading_off()

    def _turn_threading_on(self) -> None:
        from opentelemetry.instrumentation.threading import (  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
            ThreadingInstrumentor,
        )

        threads = ThreadingInstrumentor()
        if not threads.is_instrumented_by_opentelemetry:
            threads.instrument()
            self._turned_threading_on = True

    def _turn_threading_off(self) -> None:
        if not self._turned_threading_on:
            return
        self._turned_threading_on = False
        with _UNINSTRUMENT:
            from opentelemetry.instrumentation.threading import (  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
                ThreadingInstrumentor,
            )

            ThreadingInstrumentor().uninstrument()
