"""Two things that LangChain says nowhere but on the call stack.

Functions and modules are recognised by name; nothing of a frame is kept, and of its variables only
the type of one object is looked at. The names are LangChain's own and not promised: tests hold them
against every release that is supported.
"""

from __future__ import annotations

import sys
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

UNKNOWN_MIDDLEWARE: Final = "unknown"

_MANAGER: Final = "langchain_core.callbacks.manager"
_GRAPHS: Final = "langgraph.pregel"
_AGENT_MODULE: Final = "langchain.agents.factory"
_MIDDLEWARE_MODULE: Final = "langchain.agents.middleware.types"
_EXECUTES_MODEL: Final = frozenset({"_execute_model_sync", "_execute_model_async"})
_MODEL_NODES: Final = frozenset({"model_node", "amodel_node"})
_WRAPS: Final = frozenset({"wrap_model_call", "awrap_model_call"})
_DECORATED: Final = frozenset({"wrapped", "async_wrapped", "async_wrapped_from_sync"})
_GENERATORS: Final = CO_GENERATOR | CO_ASYNC_GENERATOR
_WRAPPERS: Final = ("opentelemetry.", "openinference.", "wrapt", "ddtrace.", "langsmith.")
"""Instrumentations of others that wrap the manager's methods: they start no chain."""
_DEEPEST: Final = 200


class Starter(NamedTuple):
    """Who starts a chain.

    Attributes:
        is_graph: The chain is a graph of LangGraph's.
        is_generator: It runs as a generator: its context is its consumer's, and what is set there
            is seen by the consumer's own code.
    """

    is_graph: bool
    is_generator: bool


def chain_starter(depth: int) -> Starter:
    """Looks at what called LangChain's callback manager.

    Args:
        depth: Frames between the caller of this function and the manager.
    """
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != _MANAGER and not str(module).startswith(_WRAPPERS):
            return Starter(
                isinstance(module, str) and module.startswith(_GRAPHS),
                bool(frame.f_code.co_flags & _GENERATORS),
            )
        frame = frame.f_back
    return Starter(is_graph=False, is_generator=False)


def middleware_around() -> str | None:
    """The middleware whose ``wrap_model_call`` makes the model call that starts now.

    Returns:
        Its class name; None where the agent makes the call itself; `UNKNOWN_MIDDLEWARE` where the
        stack does not show an agent (a task or thread of the middleware's own).
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way
    for _ in range(_DEEPEST):
        if frame is None:
            break
        code = frame.f_code
        name = code.co_name
        if name in _EXECUTES_MODEL or name in _MODEL_NODES:
            if frame.f_globals.get("__name__") == _AGENT_MODULE:
                return None
        elif name in _WRAPS or (
            name in _DECORATED and frame.f_globals.get("__name__") == _MIDDLEWARE_MODULE
        ):
            owner = _first_argument(frame)
            if owner is not None:
                return owner
        frame = frame.f_back
    return UNKNOWN_MIDDLEWARE


def _first_argument(frame: FrameType) -> str | None:
    """The type's name of the object whose method this frame runs."""
    code = frame.f_code
    if not code.co_argcount:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    return None if owner is None else type(owner).__name__
