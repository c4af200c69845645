"""What to send next, and what an answer changes: the sender's state machine.

No I/O and no clock: time comes in by argument, answers are values, and each method says how long to
wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.account import Account
from tokenbeat.heartbeat.answers import (
    Acknowledged,
    Answer,
    Busy,
    Cloned,
    Failed,
    FieldRefused,
    KeyRefused,
    Misdirected,
    TooLarge,
    WindowTaken,
)
from tokenbeat.heartbeat.composing import Outgoing, Wanted, compose
from tokenbeat.heartbeat.isolating import isolate
from tokenbeat.heartbeat.sizes import SizeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.heartbeat.identity import Identity, Moment
    from tokenbeat.heartbeat.notices import Notices
    from tokenbeat.heartbeat.schedule import Schedule
    from tokenbeat.heartbeat.windows import Baseline
    from tokenbeat.ledger.snapshot import Snapshot

_PROBE_NS: Final = 3_600 * 1_000_000_000
"""In AgentSpec mode our own object goes once an hour, to see whether somebody answers it now; a
health report that was refused likewise."""

_ERRORS_BEFORE_PLAIN: Final = 3
_ISOLATIONS_AT_ONCE: Final = 200
_AT_ONCE_S: Final = 0.2


class Delivery:
    """The delivery of a process's books to one control plane.

    Args:
        identity: Who sends.
        schedule: Says how long to wait.
        notices: What the log is told.
        baseline_of: What AgentSpec's server has acknowledged before for an incarnation, by model.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        schedule: Schedule,
        notices: Notices,
        baseline_of: Callable[[str], Baseline | None] = lambda _: None,
    ) -> None:
        self._identity = identity
        self._schedule = schedule
        self._notices = notices
        self._baseline_of = baseline_of
        self._account: Account | None = None
        self._acknowledged = False
        self._cloned = False
        self._by_window = False
        self._probed_ns: int | None = None
        self._size = SizeLimit()
        self._server_errors = 0
        self._plain_until_ns = 0
        self._isolations = 0
        self.more = False
        """Whether the last answer asks for another beat at once."""

    @property
    def account(self) -> Account | None:
        """The incarnation that is delivered; None before the first snapshot."""
        return self._account

    @property
    def by_window(self) -> bool:
        """Whether the control plane is AgentSpec's: it takes ``usage`` and nothing of ours."""
        return self._by_window

    def since(self, *, now_ns: int) -> int:
        """The ordinal from which the next snapshot must list changes (monotonic nanoseconds)."""
        if self._account is None or self._cloned:
            return 0
        if self._with_beat(now_ns):
            return min(self._account.settled.base, self._account.seen)
        return self._account.seen

    def compose(
        self,
        snapshot: Snapshot,
        *,
        moment: Moment,
        health: Mapping[str, object] | None = None,
        guarded_errors: int = 0,
        final: bool = False,
    ) -> Outgoing:
        """The next beat.

        Args:
            snapshot: The books, with what changed after `since`.
            moment: Now.
            health: The user's report, None for our own.
            guarded_errors: Errors of ours that were contained.
            final: Whether the process ends.
        """
        account = self._see(snapshot)
        now_ns = moment.now_ns
        with_beat = self._with_beat(now_ns)
        if with_beat:
            self._probed_ns = now_ns
        in_chain = with_beat and self._identity.sender == "process"
        wanted = Wanted(
            service=self._identity.service,
            sender=self._identity.sender,
            nonce=self._identity.new_nonce() if in_chain else None,
            sent_ns=moment.wall_ns,
            now_ns=now_ns,
            interval_ms=self._schedule.interval_ms,
            final=final,
            with_beat=with_beat,
            limit_bytes=self._size.message_bytes,
            health=None if now_ns < self._plain_until_ns else health,
            guarded_errors=guarded_errors,
        )
        return compose(account, snapshot, wanted=wanted)

    def settle(self, outgoing: Outgoing, answer: Answer, *, now_ns: int) -> float:  # noqa: C901, PLR0911 one case for each answer
        """Take an answer in; return the seconds until the next beat.

        Args:
            outgoing: The beat that was answered.
            answer: What came back.
            now_ns: Monotonic time: nanoseconds.
        """
        account = outgoing.account
        self.more = False
        unreached = isinstance(answer, Failed) and not answer.reached
        if not isinstance(answer, Acknowledged) and not unreached and outgoing.nonce is not None:
            # Also after a refusal: a copy that something in between made may yet get through.
            account.chain.leave_open(outgoing.nonce)
        if not isinstance(answer, Failed):
            self._server_errors = 0
        match answer:
            case Acknowledged():
                return self._acknowledge(account, outgoing, answer)
            case WindowTaken():
                return self._window_taken(account, outgoing)
            case Cloned():
                return self._clone_found()
            case FieldRefused():
                return self._refused(account, outgoing, answer, now_ns=now_ns)
            case TooLarge():
                return self._too_large(outgoing)
            case KeyRefused():
                return self._schedule.idle()
            case Busy(after_s=after_s):
                return self._schedule.failed(after_s=after_s)
            case Failed():
                return self._failed(answer, now_ns=now_ns)
            case _:
                misdirected: Misdirected = answer  # what is left, or the checkers complain
                self._notices.warn(
                    f"misdirected:{misdirected.status}",
                    "%s does not take heartbeats: %s. Counting goes on and nothing is lost; "
                    "check TOKENBEAT_CONTROL_PLANE_URL and the key's service.",
                    self._identity.url,
                    misdirected.reason,
                )
                return self._schedule.failed()

    def _with_beat(self, now_ns: int) -> bool:
        return (
            not self._by_window or self._probed_ns is None or now_ns - self._probed_ns >= _PROBE_NS
        )

    def _see(self, snapshot: Snapshot) -> Account:
        account = self._account
        if account is None or account.books != snapshot.incarnation:
            # The first one, or other books: this is a forked child, or the books were replaced.
            account = Account(
                books=snapshot.incarnation,
                started_ns=snapshot.started_ns,
                baseline=self._baseline_of(snapshot.incarnation),
            )
            self._account = account
        elif self._cloned:
            account.become(self._identity.new_incarnation(), snapshot=snapshot)
        self._cloned = False
        account.see(snapshot)
        return account

    def _acknowledge(self, account: Account, outgoing: Outgoing, answer: Acknowledged) -> float:
        self._acknowledged = True
        self._by_window = False
        self._isolations = 0
        self._notices.clear(url=self._identity.url)
        packed = outgoing.packed
        if packed is None:
            # A control plane of ours after all: it left the window alone, the cells follow.
            account.settled.rebase(answer.revision)
            self.more = True
            return self._schedule.succeeded(more=True)
        base = account.settled.base
        everything = packed.complete and packed.revision == outgoing.snapshot[0]
        account.settled.acknowledge(
            packed.sent,
            revision=answer.revision,
            snapshot=outgoing.snapshot if everything else None,
        )
        account.windows.acknowledge(outgoing.window)
        climbing = account.holds.release(packed.sent)
        if outgoing.nonce is not None:
            account.chain.acknowledge(outgoing.nonce, adopt=answer.nonce)
        self._size.accepted()
        moved = answer.revision != base
        behind = answer.revision < packed.revision or not packed.complete
        self.more = climbing or (moved and behind)
        return self._schedule.succeeded(next_ms=answer.next_heartbeat_ms, more=self.more)

    def _window_taken(self, account: Account, outgoing: Outgoing) -> float:
        account.windows.acknowledge(outgoing.window)
        # One that has acknowledged us is ours: a 204 is then from something in between, and leaving
        # our cells out would only have the same tokens counted as windows.
        self._by_window = not self._acknowledged
        self._isolations = 0
        self._notices.clear(url=self._identity.url)
        # The rest of a window waits for the interval: AgentSpec takes one beat in 10 s.
        return self._schedule.succeeded()

    def _clone_found(self) -> float:
        # What was acknowledged is known best from the whole of the books: the next snapshot.
        self._cloned = True
        self.more = True
        self._notices.warn(
            "clone",
            "Another process sends heartbeats under this one's id (a restored image?): going on "
            "under a new id with what was not yet acknowledged.",
        )
        return self._schedule.succeeded(more=True)

    def _refused(
        self, account: Account, outgoing: Outgoing, answer: FieldRefused, *, now_ns: int
    ) -> float:
        field = answer.field or ""
        self._notices.warn(
            f"refused:{field.partition('[')[0]}",
            "%s refused a field of a heartbeat: %s. The rest goes on; what it refused is kept.",
            self._identity.url,
            answer.reason,
        )
        isolated = isolate(account, outgoing, field=field, largest=answer.largest, now_ns=now_ns)
        if not isolated and field.partition(".")[0] in ("health", "gap"):
            isolated = now_ns >= self._plain_until_ns
            self._plain_until_ns = now_ns + _PROBE_NS
        self._isolations += 1
        if isolated and self._isolations <= _ISOLATIONS_AT_ONCE:
            self.more = True
            return _AT_ONCE_S
        return self._schedule.failed()

    def _too_large(self, outgoing: Outgoing) -> float:
        if self._size.shrink(len(outgoing.body)):
            self.more = True
            return _AT_ONCE_S
        self._notices.warn(
            "too-large",
            "%s refuses even heartbeats of %d bytes as too large; counts are kept.",
            self._identity.url,
            len(outgoing.body),
        )
        return self._schedule.failed()

    def _failed(self, answer: Failed, *, now_ns: int) -> float:
        if answer.status == 500:
            self._server_errors += 1
            if self._server_errors >= _ERRORS_BEFORE_PLAIN:
                # The one part that we did not write ourselves may be what it stumbles over.
                self._plain_until_ns = now_ns + _PROBE_NS
        wait_s = self._schedule.failed()
        if self._schedule.failures >= _ERRORS_BEFORE_PLAIN:
            self._notices.warn(
                "failed",
                "%s does not answer heartbeats (%s). Counting goes on and nothing is lost.",
                self._identity.url,
                answer.reason,
            )
        return wait_s
