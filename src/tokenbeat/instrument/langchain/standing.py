"""Where a run stands: what LangChain says of its parent, and what the context carried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import get_current

from tokenbeat.attribution.carrying import scope_in
from tokenbeat.instrument.langchain.framework_run import FrameworkRun
from tokenbeat.instrument.langchain.naming import NAMELESS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from opentelemetry.context import Context

    from tokenbeat.attribution import Scope
    from tokenbeat.instrument.langchain.framework_run import FrameworkRuns
    from tokenbeat.instrument.langchain.open_call import Calls
    from tokenbeat.ledger.report import Report


class Standing(NamedTuple):
    """Where a run stands.

    Attributes:
        parent: The framework run around it, or None.
        scope: The scope around it, or None.
        inside: The model call that it runs in, or None.
    """

    parent: FrameworkRun | None
    scope: Scope | None
    inside: Report | None


NOWHERE: Final = Standing(None, None, None)
"""Where a model stands that was called on its own."""


class Standings:
    """Finds it out.

    Args:
        runs: Chains, graphs, nodes and tools.
        calls: Model calls, which can be parents, too.
    """

    def __init__(self, *, runs: FrameworkRuns, calls: Calls) -> None:
        self._runs = runs
        self._calls = calls

    def of(self, parent_run_id: UUID | None, context: Context | None = None) -> Standing:
        """Where the run with this parent stands.

        The framework's parent decides. Where it names none (a thread of the user's own, Python 3.10
        under asyncio) or one that nobody knows, what the context carried does. A label of the
        user's between the parent and the run counts in either case.

        Args:
            parent_run_id: The parent that LangChain names, or None.
            context: The current context, if the caller has asked for it already.
        """
        carried = scope_in(get_current() if context is None else context)
        if carried is not None and carried.kind == "call":
            carried = carried.parent
        if parent_run_id is not None:
            key = parent_run_id.int
            parent = self._runs.find(key)
            if parent is not None:
                return Standing(parent, _nearer(parent.scope, carried), parent.inside)
            call = self._calls.open.get(key)
            if call is not None:
                return Standing(call.within, _nearer(call.parent, carried), call.report)
        if carried is None:
            return NOWHERE
        origin = carried.origin
        if isinstance(origin, FrameworkRun):
            return Standing(origin, carried, origin.inside)
        return Standing(None, carried, None)


def _nearer(scope: Scope | None, carried: Scope | None) -> Scope | None:
    """The carried scope where it lies inside the framework's, else the framework's."""
    if carried is None or carried is scope:
        return scope
    if carried.open and (scope is None or carried.inside(scope)):
        return carried
    return scope


def run_name(name: object, serialized: Mapping[str, Any] | None) -> str:
    """A run's name: as it is told, else its class."""
    if name and isinstance(name, str):
        return name
    if serialized:
        named = serialized.get("name")
        if named and isinstance(named, str):
            return named
        path = serialized.get("id")
        if path and isinstance(path, list) and isinstance(path[-1], str):
            return path[-1]
    return NAMELESS
