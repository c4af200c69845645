"""Puts a beat together: health, AgentSpec's window and as many cells as fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.encoding import beat_json, to_bytes, usage_json
from tokenbeat.heartbeat.health import fitted, own_gap, own_health
from tokenbeat.heartbeat.names import INCARNATION_HEADER, wire_name
from tokenbeat.heartbeat.packing import Packed, Packer
from tokenbeat.heartbeat.values import Beat, Books

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.heartbeat.account import Account
    from tokenbeat.heartbeat.encoding import Json
    from tokenbeat.heartbeat.values import Sender, Service
    from tokenbeat.heartbeat.windows import OpenWindow
    from tokenbeat.ledger.snapshot import BookCounts, Snapshot

_HEALTH_SHARE: Final = 4
_USAGE_SHARE: Final = 8
_MOST_REASONS: Final = 50
_REASON_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a beat is to be."""

    service: Service
    sender: Sender
    nonce: str | None
    sent_ns: int
    """Wall time: nanoseconds since 1970."""
    now_ns: int
    """Monotonic time: nanoseconds."""
    interval_ms: int
    final: bool
    with_beat: bool
    """Whether our own object goes, or AgentSpec's parts alone."""
    limit_bytes: int
    health: Mapping[str, object] | None
    """The user's report, or None for our own."""
    guarded_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A beat on its way, and what its acknowledgement would mean."""

    account: Account
    """The incarnation whose counts it carries."""
    body: bytes
    headers: Mapping[str, str]
    base: int
    nonce: str | None
    packed: Packed | None
    """None where our own object did not go."""
    window: OpenWindow
    snapshot: tuple[int, int]
    """Revision and time of the snapshot."""


def compose(account: Account, snapshot: Snapshot, *, wanted: Wanted) -> Outgoing:
    """Put a beat together that has at most ``wanted.limit_bytes`` bytes.

    Only where that is less than one cell needs, it is exceeded.
    """
    message: Json = _reports(snapshot, wanted=wanted)
    head_bytes = len(to_bytes(message)) + len(',"usage":')
    window = account.windows.open(
        account.cells,
        at_ns=snapshot.at_ns,
        room_bytes=(
            wanted.limit_bytes // _USAGE_SHARE
            if wanted.with_beat
            else wanted.limit_bytes - head_bytes
        ),
        without=account.refused_models,
    )
    message["usage"] = usage_json(window.usage)
    packed = None
    if wanted.with_beat:
        packed = _add_beat(message, account, snapshot, wanted=wanted)
    return Outgoing(
        account=account,
        body=to_bytes(message),
        headers={INCARNATION_HEADER: account.incarnation},
        base=account.settled.base,
        nonce=wanted.nonce if wanted.with_beat else None,
        packed=packed,
        window=window,
        snapshot=(snapshot.revision, snapshot.at_ns),
    )


def _reports(snapshot: Snapshot, *, wanted: Wanted) -> Json:
    room = wanted.limit_bytes // _HEALTH_SHARE
    own = own_health(
        service=wanted.service.name,
        at_ns=snapshot.at_ns,
        books=snapshot.books,
        guarded_errors=wanted.guarded_errors,
    )
    health = None if wanted.health is None else fitted(wanted.health, room_bytes=room)
    return {"health": health or own, "gap": own_gap(books=snapshot.books)}


def _add_beat(message: Json, account: Account, snapshot: Snapshot, *, wanted: Wanted) -> Packed:
    beat = beat_json(
        Beat(
            incarnation=account.incarnation,
            service=replace(wanted.service, started_ns=account.started_ns),
            sender=wanted.sender,
            sent_ns=wanted.sent_ns,
            interval_ms=wanted.interval_ms,
            # The greatest that packing can give, so that the digits are counted.
            revision=max(snapshot.revision, account.settled.base),
            base=account.settled.base,
            nonce=wanted.nonce,
            nonces=account.chain.earlier() if wanted.nonce is not None else (),
            final=wanted.final,
            open_calls=snapshot.open,
            books=_books(snapshot.books, undelivered=account.undelivered_tokens(by_window=False)),
        )
    )
    message["tokenbeat"] = beat
    packer = Packer(
        snapshot=snapshot,
        base=account.settled.base,
        holds=account.holds,
        now_ns=wanted.now_ns,
        skip_cuts_to_ns=(
            snapshot.at_ns if account.last_cut_only else account.settled.cuts_known_to_ns()
        ),
        acknowledged_change=account.settled.changed,
        offsets=account.offsets,
    )
    packed = packer.pack(room_bytes=wanted.limit_bytes - len(to_bytes(message)))
    beat["revision"] = packed.revision
    beat["cuts"] = packed.cuts
    beat["runs"] = packed.runs
    return packed


def _books(books: BookCounts, *, undelivered: int) -> Books:
    return Books(
        started=books.started,
        finished=books.finished,
        with_usage=books.with_usage,
        unattributed=books.unattributed,
        cached=books.cached,
        failed_attempts=books.failed_attempts,
        anomalies=_few(books.anomalies),
        reconciliations=_few(books.reconciliations),
        folded_cells=books.folded_cells,
        journal_bytes=books.journal_bytes,
        journal_errors=books.journal_errors,
        degraded=books.degraded,
        undelivered=undelivered,
        drift=books.anomalies.get("drift", 0),
    )


def _few(counts: Mapping[str, int]) -> dict[str, int]:
    """The reasons that fit any message: they are constants of ours, but nobody enforces that."""
    return {
        wire_name(reason, characters=_REASON_CHARACTERS): count
        for reason, count in list(counts.items())[:_MOST_REASONS]
    }
