"""AgentSpec's ``health`` and ``gap``: our own state, or what the user's callable says.

``health.status`` is never a constant: it is degraded when the journal cannot be written or when an
error of ours was contained. ``gap.score`` is the share of finished calls whose usage is known.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from tokenbeat.guard import contained
from tokenbeat.heartbeat.encoding import to_bytes
from tokenbeat.heartbeat.times import to_wire

if TYPE_CHECKING:
    from tokenbeat.ledger.snapshot import BookCounts

HealthCallable = Callable[[], object]
"""What a user passes: it returns the report, a mapping; anything else counts as no answer."""

_SOURCE: Final = "agent-sdk"
_PROBE: Final = contained("heartbeat.health")


def own_health(
    *, service: str, at_ns: int, books: BookCounts, guarded_errors: int
) -> dict[str, object]:
    """Our own state in AgentSpec's shape.

    Args:
        service: The service's name.
        at_ns: The snapshot's time: nanoseconds since 1970.
        books: The books about themselves.
        guarded_errors: Errors of ours that were kept from the application.
    """
    checks = [
        _check(
            "tokenbeat-journal",
            passed=not books.degraded,
            message="The journal cannot be written: a kill would lose what only memory holds.",
        ),
        _check(
            "tokenbeat-errors",
            passed=guarded_errors == 0,
            message=f"{guarded_errors} errors of Tokenbeat's own were contained; see the log.",
        ),
    ]
    failed = sum(check["status"] != "pass" for check in checks)
    return {
        "status": "degraded" if failed else "ready",
        "source": _SOURCE,
        "agentName": service,
        "timestamp": to_wire(at_ns),
        "summary": {
            "passed": len(checks) - failed,
            "failed": 0,
            "warnings": failed,
            "skipped": 0,
        },
        "checks": checks,
    }


def own_gap(*, books: BookCounts) -> dict[str, object]:
    """The share of finished calls whose usage is known, 0 to 100; 100 where there are none.

    Example:
        97 of 100 calls reported their usage: ``score`` is 97.
    """
    known = books.with_usage + books.cached
    score = 100 if not books.finished else min(100 * known // books.finished, 100)
    return {"score": score, "source": _SOURCE, "issues": []}


def fitted(report: Mapping[str, object], *, room_bytes: int) -> dict[str, object] | None:
    """A report that fits: entries of ``checks`` and ``issues`` go from their end, and it says so.

    The summary stays what it was. None where the rest is still too large or is no JSON.
    """
    try:
        # A copy through JSON: the user's object may change while we look at it.
        copy = cast("dict[str, object]", json.loads(to_bytes(report)))
    except (TypeError, ValueError, RecursionError):
        return None
    size = len(to_bytes(copy))
    for name in ("checks", "issues"):
        entries = copy.get(name)
        if size <= room_bytes or not isinstance(entries, list):
            continue
        kept = cast("list[object]", entries)
        copy["truncated"] = True
        size += len(',"truncated":true')
        while kept and size > room_bytes:
            size -= len(to_bytes({"": kept.pop()})) - len('{"":}') + 1
    return copy if len(to_bytes(copy)) <= room_bytes else None


class HealthProbe:
    """Asks the user's callable without ever waiting long for it.

    It runs in a thread of its own. One that hangs is left alone: no second one is started, and the
    beats go on with our own state.

    Args:
        ask: The user's callable; its errors are contained.
        patience_s: How long a beat waits for its answer: seconds.
    """

    def __init__(self, ask: HealthCallable, *, patience_s: float = 1.0) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._answer: Mapping[str, object] | None = None
        self._running: threading.Thread | None = None

    def __call__(self) -> Mapping[str, object] | None:
        """The report, or None where there is none in time."""
        if self._running is not None and self._running.is_alive():
            return None
        self._answer = None
        self._running = threading.Thread(target=self._run, name="tokenbeat-health", daemon=True)
        self._running.start()
        self._running.join(self._patience_s)
        return self._answer

    def _run(self) -> None:
        with _PROBE:
            answer: object = self._ask()
            if isinstance(answer, Mapping):
                self._answer = cast("Mapping[str, object]", answer)


def _check(name: str, *, passed: bool, message: str) -> dict[str, object]:
    check: dict[str, object] = {"id": name, "status": "pass" if passed else "warn"}
    if not passed:
        check["message"] = message
    return check
