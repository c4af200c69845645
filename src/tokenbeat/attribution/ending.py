"""What an exception says about how something ended. Only its type is looked at, never its text."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError as FutureCancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenbeat.usage.call import Outcome, RunStatus

_CANCELLED = (asyncio.CancelledError, FutureCancelledError, KeyboardInterrupt, SystemExit)
_TIMEOUT = (TimeoutError, asyncio.TimeoutError)  # two types before Python 3.11


def error_type(error: BaseException) -> str:
    """The name for ``error.type``: ``ValueError``, ``openai.RateLimitError``."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def call_outcome(error: BaseException) -> Outcome:
    """How a call ended that ended with this error."""
    if isinstance(error, GeneratorExit):
        return "abandoned"
    return "cancelled" if isinstance(error, _CANCELLED) else "error"


def run_status(error: BaseException | None) -> RunStatus:
    """How a run ended that ended with this error, or without one."""
    if error is None:
        return "success"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if isinstance(error, _CANCELLED):
        return "cancelled"
    return "timeout" if isinstance(error, _TIMEOUT) else "error"
