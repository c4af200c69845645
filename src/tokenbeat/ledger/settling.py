"""What an envelope's end means for its children, and a batch's ends for its requests."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tokenbeat.ledger.cells import finished_as, token_counts
from tokenbeat.ledger.raising import rise
from tokenbeat.usage.counts import (
    FIRST_TOKEN,
    PARTIAL,
    WITH_USAGE,
    ZERO_COUNTS,
    Counts,
    add,
    total_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenbeat.ledger.bounds import Bounds
    from tokenbeat.ledger.entering import Entering
    from tokenbeat.ledger.records import Notes
    from tokenbeat.ledger.report import CallToken, Report
    from tokenbeat.usage.tokens import TokenUsage


def counted_tokens(report: Report) -> Counts:
    """The tokens that are entered for a report and everything inside it."""
    own = report.counts or ZERO_COUNTS
    tokens = (*ZERO_COUNTS[:FIRST_TOKEN], *own[FIRST_TOKEN:])
    for child in report.children:
        tokens = add(tokens, counted_tokens(child))
    return tokens


def _unresolved(report: Report) -> bool:
    """Whether it is not known yet what a report and everything inside it used."""
    return report.open or (report.is_envelope and not report.settled)


def _leaves(envelope: Report) -> Iterator[Report]:
    """The calls inside an envelope, however deep."""
    for child in envelope.children:
        if child.is_envelope:
            yield from _leaves(child)
        else:
            yield child


def _lacks_usage(child: Report) -> bool:
    """Whether a call ended well and nobody said what it used."""
    if child.cached or not child.entered or child.outcome != "ok":
        return False
    return not (child.counts or ZERO_COUNTS)[WITH_USAGE]


class Settling:
    """Envelopes that ended and whose children have not, and batches that are not resolved.

    Args:
        entering: The state machine that this is a part of.
        bounds: How long an ended envelope waits.
    """

    def __init__(self, *, entering: Entering, bounds: Bounds) -> None:
        self._entering = entering
        self._bounds = bounds
        self._envelopes: deque[tuple[int, Report]] = deque()
        self._batches: deque[tuple[int, CallToken]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._envelopes and not self._batches

    # Envelopes -----------------------------------------------------------------------------

    def wait_for_children(self, envelope: Report, *, now_mono_ns: int) -> None:
        """Settles an ended envelope now, or once its last child has ended."""
        if any(map(_unresolved, envelope.children)):
            self._envelopes.append((now_mono_ns + self._bounds.envelope_ns, envelope))
        else:
            self._settle(envelope)

    def child_ended(self, child: Report) -> None:
        """Settles what was waiting for this child."""
        envelope = child.inside
        if envelope is None or envelope.open or envelope.settled:
            return
        if any(map(_unresolved, envelope.children)):
            return
        token = envelope.member_of
        if token is not None and len(token.members) > 1:
            self._settle_batch(token, forced=False)
        else:
            self._settle(envelope)

    def settle_now(self, envelope: Report) -> None:
        """Settles an ended envelope although a child of it is still open."""
        token = envelope.member_of
        if token is not None and len(token.members) > 1:
            self._settle_batch(token, forced=True)
        else:
            self._settle(envelope)

    def _settle(self, envelope: Report) -> None:
        envelope.settled = True
        envelope.held = False
        for child in envelope.children:
            if child.is_envelope and not child.open and not child.settled:
                self.settle_now(child)
        usage = envelope.usage
        open_children = [child for child in envelope.children if child.open]
        reported = token_counts(usage)
        known = usage is not None and usage.known and not envelope.cached
        for index, child in enumerate(open_children):
            rest = rise(counted_tokens(envelope), reported).counts if known else None
            self._entering.give_up(
                child,
                outcome=envelope.outcome or "abandoned",
                usage=rest if index == 0 else None,
                partial=envelope.partial,
            )
        if known:
            self._fill(envelope, reported)
        if envelope.inside is not None:
            self.child_ended(envelope)

    def _fill(self, envelope: Report, reported: Counts) -> None:
        leaves = list(_leaves(envelope))
        unknown = [leaf for leaf in leaves if _lacks_usage(leaf)]
        if len(unknown) == 1:
            rest = rise(counted_tokens(envelope), reported).counts
            # Nothing left over is no word about this child, unless it is the only one.
            if any(rest) or len(leaves) == 1:
                self._entering.raise_counts(unknown.pop(), rest, partial=envelope.partial)
        rest = rise(counted_tokens(envelope), reported).counts
        surplus = total_tokens(rest)
        if not surplus:
            return
        if not unknown and self._saw_more(envelope):
            # What it used beyond its children is a call that nobody else saw.
            outcome = envelope.outcome or "ok"
            counts = list(add(finished_as(outcome, items=envelope.items), rest))
            counts[WITH_USAGE], counts[PARTIAL] = 1, int(envelope.partial)
            self._entering.enter(envelope, counts=tuple(counts))
        else:
            self._entering.reconcile("envelope_surplus", surplus)

    @staticmethod
    def _saw_more(envelope: Report) -> bool:
        """Whether an envelope's surplus is its own: no child has its model, or all failed."""
        if all(leaf.failed_attempt for leaf in _leaves(envelope)):
            return True
        own = {envelope.request_model, envelope.response_model} - {None}
        children = {
            model
            for child in envelope.children
            for model in (child.request_model, child.response_model)
        }
        return bool(own) and not own & children

    def envelope_again(self, envelope: Report, usage: TokenUsage | None, *, partial: bool) -> None:
        """Takes a further end of a closed envelope."""
        if usage is None or not usage.known:
            return
        if not envelope.settled:
            if (usage.total_tokens or 0) > ((envelope.usage and envelope.usage.total_tokens) or 0):
                envelope.usage, envelope.partial = usage, partial
            return
        rest = rise(counted_tokens(envelope), token_counts(usage)).counts
        calls = [leaf for leaf in _leaves(envelope) if leaf.entered and not leaf.failed_attempt]
        if len(calls) == 1 and total_tokens(rest):
            target = calls[0]
            tokens = add(target.counts or ZERO_COUNTS, rest)
            self._entering.raise_counts(target, tokens, partial=partial)
        elif total_tokens(rest):
            self._entering.reconcile("envelope_surplus", total_tokens(rest))

    # Batches -------------------------------------------------------------------------------

    def wait_for_batch(
        self, token: CallToken, member: Report, *, notes: Notes, now_mono_ns: int
    ) -> None:
        """Keeps a batch's ended prompt until it is known which request was its own."""
        if member.cached:
            # A cache hit never made a request: whatever was linked to it is another prompt's.
            member.is_envelope = False
        if token.settled:
            # The others could not wait for this prompt: it stands for itself.
            self._settle_late(member, notes=notes, now_mono_ns=now_mono_ns)
            return
        if member.is_envelope:
            self._entering.ended_outside(member, notes=notes)
        else:
            self._entering.hold(member, notes=notes)
        if not any(waiting is token for _, waiting in self._batches):
            self._batches.append((now_mono_ns + self._bounds.envelope_ns, token))
        self._settle_batch(token, forced=False)

    def _settle_late(self, member: Report, *, notes: Notes, now_mono_ns: int) -> None:
        if member.is_envelope:
            self._entering.ended_outside(member, notes=notes)
            self.wait_for_children(member, now_mono_ns=now_mono_ns)
        else:
            self._entering.enter(member, notes=notes)

    def _settle_batch(self, token: CallToken, *, forced: bool) -> None:
        if token.settled:
            return
        if not forced and (
            any(member.open for member in token.members) or any(map(_unresolved, token.children))
        ):
            return
        token.settled = True
        members = [m for m in token.members if not m.cached and not m.open]
        self._resolve(members, token.children)
        for member in token.members:
            if member.open:
                continue
            if member.is_envelope:
                if member.held:
                    self._entering.ended_outside(member)
                self._settle(member)
            else:
                self._entering.enter(member)

    def _resolve(self, members: Sequence[Report], children: Sequence[Report]) -> None:
        """Gives each request to its prompt: by response id, else by order of start."""
        left = [child for child in children if child.inside is not None]
        pending = list(members)
        owned: list[tuple[Report, Report]] = []
        for member in list(pending):
            twin = next(
                (c for c in left if c.response_id and c.response_id == member.response_id), None
            )
            if twin is not None:
                owned.append((member, twin))
                left.remove(twin)
                pending.remove(member)
        for child in left:
            if not pending:
                # More requests than prompts: the last prompt made them.
                owned.extend((member, child) for member, _ in owned[-1:])
                continue
            owned.append((pending[0], child))
            if child.outcome != "error":
                pending.pop(0)
        for member in members:
            member.children = ()
            member.is_envelope = False
        for member, child in owned:
            if child.inside is not member:
                child.inside = member
                self._entering.linked(child, member)
            member.children = (*member.children, child)
            member.is_envelope = True

    # Time ----------------------------------------------------------------------------------

    def expire(self, now_mono_ns: int) -> None:
        """Settles what has waited long enough."""
        while self._envelopes and (
            self._envelopes[0][0] <= now_mono_ns or self._envelopes[0][1].settled
        ):
            envelope = self._envelopes.popleft()[1]
            if not envelope.settled:
                self._settle(envelope)
        while self._batches and (self._batches[0][0] <= now_mono_ns or self._batches[0][1].settled):
            self._settle_batch(self._batches.popleft()[1], forced=True)
