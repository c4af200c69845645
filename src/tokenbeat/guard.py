"""The one place where an error of ours is kept from the application.

Whatever the application calls into (a LangChain callback, a wrapped SDK method, a span processor, a
metric callback) runs inside ``contained``, once, at the outermost edge::

    ON_LLM_END = contained("langchain.on_llm_end")   # once, at import

    def on_llm_end(self, response, *, run_id, **kwargs):
        with ON_LLM_END:
            ...

An error in there is counted by place (the metric ``tokenbeat.guarded_errors``), logged with its
traceback, and does not reach the application. In strict mode, which our own test suite turns on,
it does. ``KeyboardInterrupt``, ``SystemExit``, ``GeneratorExit`` and ``asyncio.CancelledError``
are not errors: they always pass.

The good path costs two method calls (about 0.1 µs); nothing is counted or locked there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_LOGGER = logging.getLogger(__name__)

_QUIET_NS: Final = 60 * 1_000_000_000
_MOST_KINDS_REMEMBERED: Final = 1_000


class ErrorRegister:
    """How many errors were contained where, and what of it was logged already.

    Args:
        monotonic_ns: The clock that spaces out the log lines (nanoseconds).
    """

    def __init__(self, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.strict = False
        self._monotonic_ns = monotonic_ns
        self._renew()

    def _renew(self) -> None:
        # Reentrant: a finalizer may run, and fail, while this thread holds the lock.
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._logged: dict[tuple[str, str], tuple[int, int]] = {}

    def renew_after_fork(self) -> None:
        """Start from nothing in a forked child: a lock may be held by a thread that is gone.

        The child is an incarnation of its own; what was counted so far is its parent's.
        """
        self._renew()

    def counts(self) -> Mapping[str, int]:
        """Errors contained since the process (or fork) began, by place. They only rise."""
        with self._lock:
            return MappingProxyType(dict(self._counts))

    def enter(self, where: str, error: Exception) -> None:
        """Count an error, and log it unless its like was logged within the last minute."""
        kind = type(error)
        key = (where, f"{kind.__module__}.{kind.__qualname__}")
        now_ns = self._monotonic_ns()
        with self._lock:
            self._counts[where] = self._counts.get(where, 0) + 1
            logged_ns, silent = self._logged.get(key, (None, 0))
            if logged_ns is not None and now_ns - logged_ns < _QUIET_NS:
                self._logged[key] = (logged_ns, silent + 1)
                return
            if len(self._logged) >= _MOST_KINDS_REMEMBERED:
                # Types made at run time must not fill the memory; some lines come twice then.
                self._logged.clear()
            self._logged[key] = (now_ns, 0)
        _LOGGER.error(
            "Tokenbeat kept an error of its own from the application at %s; "
            "%d more of this kind since the last such line. Please report it.",
            where,
            silent,
            exc_info=error,
        )


class Contained:
    """A guarded place: a context manager without state, for any thread, as often as one likes.

    Args:
        where: The place, as ``folder.function``; a constant, because it is a metric attribute.
        on_error: Called with the error after it was counted, for what the place must still do (a
            call that was not entered is to be counted as lost). Its own errors are contained too.
        register: Where the error is counted; the process's own unless a test brings another.
    """

    __slots__ = ("_on_error", "_register", "where")

    def __init__(
        self,
        where: str,
        *,
        on_error: Callable[[Exception], object] | None = None,
        register: ErrorRegister,
    ) -> None:
        self.where = where
        self._on_error = on_error
        self._register = register

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        return isinstance(error, Exception) and self._contain(error)

    def _contain(self, error: Exception) -> bool:
        """Count, log and tell; answer whether the error ends here."""
        strict = self._register.strict
        try:
            self._register.enter(self.where, error)
            if self._on_error is not None:
                self._on_error(error)
        except Exception:
            if strict:
                raise
        return not strict


_PROCESS: Final = ErrorRegister()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PROCESS.renew_after_fork)


def contained(where: str, *, on_error: Callable[[Exception], object] | None = None) -> Contained:
    """Guard a place; make it once and enter it as often as needed.

    Args:
        where: The place, as ``folder.function``; a constant, because it is a metric attribute.
        on_error: What the place must still do when it failed (see ``Contained``).
    """
    return Contained(where, on_error=on_error, register=_PROCESS)


def guarded_errors() -> Mapping[str, int]:
    """Errors contained in this process so far, by place: metric ``tokenbeat.guarded_errors``."""
    return _PROCESS.counts()


def set_strict(on: bool, /) -> None:  # noqa: FBT001 the one thing that its name says
    """Let contained errors through after counting them (``True``), or keep them in (``False``).

    For test suites: ours always, a user's with the pytest option ``tokenbeat_strict = true``.
    """
    _PROCESS.strict = on


def is_strict() -> bool:
    """Whether contained errors are let through."""
    return _PROCESS.strict
