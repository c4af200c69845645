"""One beat after another: snapshot, sync, send, settle.

Clock, disk, transport and chance come in by argument, so a simulation can drive it. It has no
thread of its own (`beating` has) and at most one request in flight.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tokenbeat.guard import guarded_errors
from tokenbeat.heartbeat.answers import (
    Acknowledged,
    Answer,
    Failed,
    KeyRefused,
    WindowTaken,
    read_answer,
)
from tokenbeat.heartbeat.delivery import Delivery
from tokenbeat.heartbeat.errors import NoAnswer
from tokenbeat.heartbeat.figures import Figures
from tokenbeat.heartbeat.identity import Identity, Moment
from tokenbeat.heartbeat.notices import Notices
from tokenbeat.heartbeat.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.clock import Clock
    from tokenbeat.heartbeat.account import Account
    from tokenbeat.heartbeat.composing import Outgoing
    from tokenbeat.heartbeat.keys import Keys
    from tokenbeat.heartbeat.transport import Transport
    from tokenbeat.heartbeat.windows import Baseline
    from tokenbeat.ledger.snapshot import Snapshot
    from tokenbeat.telemetry.figures import HeartbeatFigures

_LOGGER: Final = logging.getLogger(__name__)
_LONGEST_REQUEST_S: Final = 10.0
_SHARE_OF_INTERVAL: Final = 0.8
_RETRY_WITH_NEW_KEY_S: Final = 0.2


def _contained_errors() -> int:
    return sum(guarded_errors().values())


class BookSource(Protocol):
    """Whose books are sent; a ledger is one."""

    def snapshot(self, *, since: int = 0) -> Snapshot:
        """The books at one revision, with what changed after ``since``."""
        ...

    def acknowledge(self, revision: int) -> None:
        """Somebody keeps everything up to ``revision``."""
        ...


class Disk(Protocol):
    """What must be on disk before and after a beat."""

    def sync(self) -> None:
        """Make every record that was written survive.

        Raises:
            OSError: The disk refused.
        """
        ...

    def load_baseline(self, incarnation: str) -> Baseline | None:
        """What AgentSpec's server was known to hold, None where nothing was kept."""
        ...

    def save_baseline(self, incarnation: str, baseline: Baseline) -> None:
        """Keep what AgentSpec's server holds, before the next window goes.

        Raises:
            OSError: The disk refused.
        """
        ...


class MemoryOnly:
    """The disk of a process that keeps nothing: there is nothing to wait for."""

    def sync(self) -> None:
        """See `Disk.sync`."""

    def load_baseline(self, incarnation: str) -> Baseline | None:
        """See `Disk.load_baseline`."""
        del incarnation
        return None

    def save_baseline(self, incarnation: str, baseline: Baseline) -> None:
        """See `Disk.save_baseline`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beaten:
    """How one beat went."""

    wait_s: float
    """Seconds until the next one is due."""
    acknowledged: bool
    more: bool
    """Whether there is something to send at once: the rest, or what a refusal left."""
    complete: bool
    """Whether the control plane now holds everything that the books held."""


class Sender:
    """Sends the books of this process to one control plane.

    Args:
        identity: Who sends, and where to.
        books: Gives the books; asked before each beat, because a fork replaces them.
        clock: Both clocks.
        disk: Gives the disk of these books, or none.
        transport: Carries a body.
        keys: The API key.
        chance: A number from 0 up to 1, fresh at each call.
        interval_ms: ``TOKENBEAT_HEARTBEAT_INTERVAL``: milliseconds.
        health: The user's report, guarded and quick; None where there is none.
        errors: Counts errors of ours that were contained.
    """

    def __init__(  # noqa: PLR0913 everything that it touches comes in here
        self,
        identity: Identity,
        *,
        books: Callable[[], BookSource],
        clock: Clock,
        transport: Transport,
        keys: Keys,
        chance: Callable[[], float],
        interval_ms: int,
        disk: Callable[[], Disk] = MemoryOnly,
        health: Callable[[], Mapping[str, object] | None] | None = None,
        errors: Callable[[], int] = _contained_errors,
    ) -> None:
        self._errors = errors
        self._identity = identity
        self._books = books
        self._clock = clock
        self._disk = disk
        self._transport = transport
        self._keys = keys
        self._health = health
        self._chance = chance
        self._interval_ms = interval_ms
        self._begin()

    def _begin(self) -> None:
        self._in_flight = threading.Lock()
        self._notices = Notices()
        self._schedule = Schedule(interval_ms=self._interval_ms, chance=self._chance)
        self._figures = Figures(clock=self._clock)
        self._delivery = Delivery(
            self._identity,
            schedule=self._schedule,
            notices=self._notices,
            baseline_of=lambda incarnation: self._disk().load_baseline(incarnation),
        )

    def begin_child(self) -> None:
        """In a forked child: nothing was sent yet, and the connection is the parent's."""
        self._begin()
        self._transport.renew()

    def heartbeat_figures(self) -> HeartbeatFigures:
        """Metrics ``tokenbeat.heartbeat.{sent,failed,undelivered_tokens,age}``."""
        return self._figures.now()

    @property
    def delivery(self) -> Delivery:
        """What was delivered so far."""
        return self._delivery

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def beat(self, *, final: bool = False, timeout_s: float = _LONGEST_REQUEST_S) -> Beaten:
        """Send one beat and take its answer in.

        Args:
            final: Whether the process ends.
            timeout_s: The longest that the request may take: seconds.
        """
        with self._in_flight:
            self._figures.begin()
            now_ns = self._clock.monotonic_ns()
            if not self._keys.usable(now_ns=now_ns):
                return Beaten(
                    wait_s=self._schedule.idle(), acknowledged=False, more=False, complete=False
                )
            books = self._books()
            snapshot = books.snapshot(since=self._delivery.since(now_ns=now_ns))
            outgoing = self._delivery.compose(
                snapshot,
                moment=Moment(self._clock.wall_ns(), now_ns),
                health=None if self._health is None else self._health(),
                guarded_errors=self._errors(),
                final=final,
            )
            # What is sent is on disk: after a kill, recovery must not enter as unfinished a call
            # that the control plane already holds as ended.
            self._on_disk(lambda disk: disk.sync())
            answer = self._exchange(outgoing, timeout_s=timeout_s)
            wait_s = self._delivery.settle(outgoing, answer, now_ns=self._clock.monotonic_ns())
            return self._settled(books, outgoing.account, answer, wait_s)

    def _exchange(self, outgoing: Outgoing, *, timeout_s: float) -> Answer:
        # Below the interval, so that beats do not pile up; but nobody answers in no time.
        longest_s = max(self._schedule.interval_ms / 1_000, 1.0) * _SHARE_OF_INTERVAL
        try:
            reply = self._transport.post(
                outgoing.body,
                headers=outgoing.headers,
                key=self._keys.current(),
                timeout_s=min(timeout_s, _LONGEST_REQUEST_S, longest_s),
            )
        except NoAnswer as error:
            return Failed(status=None, reason=str(error), reached=error.kind != "connect")
        return read_answer(reply, now_wall_ns=self._clock.wall_ns())

    def _settled(
        self, books: BookSource, account: Account, answer: Answer, wait_s: float
    ) -> Beaten:
        undelivered = account.undelivered_tokens(by_window=self._delivery.by_window)
        acknowledged = isinstance(answer, (Acknowledged, WindowTaken))
        self._figures.settled(acknowledged=acknowledged, undelivered_tokens=undelivered)
        complete = acknowledged and undelivered == 0
        more = self._delivery.more
        if isinstance(answer, Acknowledged):
            books.acknowledge(account.settled.base)
            complete = account.settled.base >= account.seen
        if isinstance(answer, WindowTaken):
            baseline = account.windows.baseline
            self._on_disk(lambda disk: disk.save_baseline(account.books, baseline))
        if isinstance(answer, KeyRefused):
            more = self._another_key()
            if more:
                wait_s = min(_RETRY_WITH_NEW_KEY_S, wait_s)
        return Beaten(wait_s=wait_s, acknowledged=acknowledged, more=more, complete=complete)

    def _another_key(self) -> bool:
        if self._keys.refuse(now_ns=self._clock.monotonic_ns()):
            return True
        self._notices.warn(
            "key",
            "%s refused the API key (HTTP 401). It is not sent again; counting goes on, and "
            "heartbeats too as soon as TOKENBEAT_API_KEY_FILE holds another key.",
            self._identity.url,
        )
        return False

    def _on_disk(self, act: Callable[[Disk], None]) -> None:
        try:
            act(self._disk())
        except OSError as error:
            # The books say `degraded`; keeping the numbers back as well would help nobody.
            self._notices.warn("disk", "The spool cannot be written: %s", error)
