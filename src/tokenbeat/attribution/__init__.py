"""Who is calling now: scopes open, are carried over tasks and threads, and close.

What belongs here: scopes, how they travel in the OpenTelemetry context, what the user says about
callers and runs, and the protocol for those who watch scopes. What never does: the name of a
framework or a provider, and counting.
"""

from __future__ import annotations

from tokenbeat.attribution.carrying import current_scope, enter, leave
from tokenbeat.attribution.labels import caller
from tokenbeat.attribution.observer import (
    ScopeObserver,
    add_scope_observer,
    remove_scope_observer,
)
from tokenbeat.attribution.opening import close_scope, open_scope
from tokenbeat.attribution.runs import run
from tokenbeat.attribution.scope import Scope, ScopeKind

__all__ = [
    "Scope",
    "ScopeKind",
    "ScopeObserver",
    "add_scope_observer",
    "caller",
    "close_scope",
    "current_scope",
    "enter",
    "leave",
    "open_scope",
    "remove_scope_observer",
    "run",
]
