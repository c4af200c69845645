"""``tokenbeat.run``: the user says which run, conversation and user calls belong to."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tokenbeat.attribution.carrying import current_scope
from tokenbeat.attribution.ending import error_type, run_status
from tokenbeat.attribution.lexical import LexicalScope
from tokenbeat.attribution.opening import close_scope, open_scope
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.process import books
from tokenbeat.usage.caller import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.attribution.scope import Scope
    from tokenbeat.clock import Clock


class _RunScope(LexicalScope):
    def __init__(  # noqa: PLR0913 a run has that many facts
        self,
        *,
        run_id: str | None,
        thread_id: str | None,
        user: str | None,
        labels: Mapping[str, str] | None,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        super().__init__()
        self._run_id = run_id
        self._thread_id = thread_id
        self._user = user
        self._labels = dict(labels) if labels else None
        self._clock = clock
        self._new_id = new_id

    def again(self) -> LexicalScope:
        """See `LexicalScope.again`."""
        return _RunScope(
            run_id=self._run_id, thread_id=self._thread_id, user=self._user, labels=self._labels,
            clock=self._clock, new_id=self._new_id,
        )  # fmt: skip

    def opened(self) -> Scope:
        """See `LexicalScope.opened`."""
        parent = current_scope()
        if parent is not None and parent.kind == "call":
            parent = parent.parent
        run_id = self._run_id or self._new_id()
        ref = books().open_run(
            run_id, thread_id=self._thread_id, user=self._user, labels=self._labels
        )
        return open_scope(
            "run",
            run_id,
            parent=parent,
            base=UNATTRIBUTED if parent is None else parent.caller,
            started_ns=self._clock.wall_ns(),
            run=ref,
            thread_id=self._thread_id,
        )

    def closed(self, scope: Scope, error: BaseException | None) -> None:
        """See `LexicalScope.closed`."""
        close_scope(scope, error_type=None if error is None else error_type(error))
        if scope.run is not None:
            books().close_run(scope.run, status=run_status(error))


def _random_id() -> str:
    return str(uuid.uuid4())


def run(  # noqa: PLR0913 a run has that many facts
    *,
    run_id: str | None = None,
    thread_id: str | None = None,
    user: str | None = None,
    labels: Mapping[str, str] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    new_id: Callable[[], str] = _random_id,
) -> LexicalScope:
    """Opens a run: what is called inside belongs to it, also through threads and tasks.

    A framework's run inside of it does not open a run of its own.

    Args:
        run_id: Its id; a random one if none is given. The id of an earlier run continues that run.
        thread_id: The conversation.
        user: Who it is for. It is kept with the run alone, never in metrics.
        labels: Up to 16 names and values of your choice, kept with the run alone.
        clock: Where start times come from.
        new_id: Where ids come from.

    Returns:
        A context manager, and a decorator of functions, coroutine functions and generators. An
        exception that leaves it gives the run's status: ``error``, ``cancelled``, ``timeout``.
    """
    return _RunScope(
        run_id=run_id, thread_id=thread_id, user=user, labels=labels, clock=clock, new_id=new_id
    )
