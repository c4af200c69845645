"""The books of this process: made at first use, new after a fork."""

from __future__ import annotations

import base64
import os
import secrets
import threading
from typing import TYPE_CHECKING

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.guard import contained
from tokenbeat.ledger.books import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

_FORK = contained("ledger.after_fork")


def new_incarnation() -> str:
    """80 fresh random bits as 16 base32 characters: the id of a process or fork."""
    return base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


class ProcessBooks:
    """Holds the one ledger that entry points, which take no arguments, find."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._after_fork: list[Callable[[], None]] = []

    def get(self) -> Ledger:
        """The ledger, made now if there is none."""
        ledger = self._ledger
        if ledger is None:
            with self._lock:
                ledger = self._ledger
                if ledger is None:
                    ledger = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK)
                    self._ledger = ledger
        return ledger

    def replace(self, ledger: Ledger | None) -> Ledger | None:
        """Puts another ledger in place and returns the one before it."""
        with self._lock:
            before, self._ledger = self._ledger, ledger
        return before

    def on_fork(self, callback: Callable[[], None]) -> None:
        """Calls ``callback`` in every forked child, after its books are new."""
        self._after_fork.append(callback)

    def renew(self) -> None:
        """In a forked child: new lock, no books. What was counted so far is the parent's."""
        self._lock = threading.Lock()
        self._ledger = None
        for callback in self._after_fork:
            with _FORK:
                callback()


_PROCESS = ProcessBooks()

# The one thing that importing does. A fork must find this hook, and it must be registered before
# the OpenTelemetry SDK's own: its reader threads may collect as soon as they are restarted.
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_PROCESS.renew)


def books() -> Ledger:
    """The ledger of this process or fork."""
    return _PROCESS.get()


def replace_books(ledger: Ledger | None) -> Ledger | None:
    """Puts another ledger in place (None: a new one at the next use) and returns the old one."""
    return _PROCESS.replace(ledger)


def on_fork(callback: Callable[[], None]) -> None:
    """Calls ``callback`` in every forked child once its books are new."""
    _PROCESS.on_fork(callback)
