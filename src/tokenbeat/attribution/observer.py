"""Who wants to know when scopes open and close."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from tokenbeat.guard import contained

if TYPE_CHECKING:
    from tokenbeat.attribution.scope import Scope

_OPENED = contained("attribution.scope_opened")
_CLOSED = contained("attribution.scope_closed")


class ScopeObserver(Protocol):
    """Told in the thread of the work itself; it must be quick. What it raises is contained."""

    def scope_opened(self, scope: Scope) -> None:
        """A scope opened. A span set as ``scope.span`` becomes current together with it."""
        ...

    def scope_closed(self, scope: Scope, *, error_type: str | None) -> None:
        """A scope closed, with the type of the error that ended it or None."""
        ...


class _Observers:
    """Those who watch. The tuple is replaced, never changed: telling takes no lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.all: tuple[ScopeObserver, ...] = ()


_OBSERVERS = _Observers()


def add_scope_observer(observer: ScopeObserver) -> None:
    """Tells ``observer`` of every scope from now on."""
    with _OBSERVERS.lock:
        if observer not in _OBSERVERS.all:
            _OBSERVERS.all = (*_OBSERVERS.all, observer)


def remove_scope_observer(observer: ScopeObserver) -> None:
    """Tells ``observer`` no more."""
    with _OBSERVERS.lock:
        _OBSERVERS.all = tuple(other for other in _OBSERVERS.all if other is not observer)


def tell_opened(scope: Scope) -> None:
    """Tells everybody that ``scope`` opened."""
    for observer in _OBSERVERS.all:
        with _OPENED:
            observer.scope_opened(scope)


def tell_closed(scope: Scope, *, error_type: str | None) -> None:
    """Tells everybody that ``scope`` closed."""
    for observer in _OBSERVERS.all:
        with _CLOSED:
            observer.scope_closed(scope, error_type=error_type)
