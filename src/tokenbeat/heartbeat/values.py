"""What a heartbeat says, as frozen values. `message` is the door; this file is behind it.

The sender builds them from the ledger, the receiver gets them from `parse_heartbeat`, where they
were checked field by field. All times are integers of nanoseconds since 1970 (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

Sender = Literal["process", "sidecar", "recovery", "exporter"]
SENDERS: Final[tuple[Sender, ...]] = ("process", "sidecar", "recovery", "exporter")
"""Who sends: the process itself, the sidecar, a later process for a dead one, or an exporter under
a user's own metric reader. Only the process is in the chain of nonces."""

Phase = Literal["Healthy", "Degraded", "Unhealthy", "Unknown"]

_PHASES: Final[dict[str, Phase]] = {
    "ready": "Healthy",
    "healthy": "Healthy",  # what AgentSpec's SDK really sends
    "degraded": "Degraded",
    "unavailable": "Unhealthy",
    "unhealthy": "Unhealthy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Who reports. AgentSpec calls it the agent; in reports it is the service."""

    name: str
    """1 to 63 of ``[a-z0-9-]``, as AgentSpec allows: `service_name` of ``service.name``."""
    original_name: str | None = None
    """``service.name`` as configured, where it differs."""
    namespace: str | None = None
    """``service.namespace``."""
    instance: str | None = None
    """``service.instance.id``."""
    started_ns: int
    """When this incarnation began."""
    host: str | None = None
    pod: str | None = None
    sdk_version: str | None = None
    """Tokenbeat's version in the agent."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The counts of one key since its incarnation began. They only rise."""

    key: CellKey
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCells:
    """Cells as they stood at one moment, cumulative; those that changed since the cut before."""

    at_ns: int
    """A minute boundary, or for the last cut of a message the time of the snapshot."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCells:
    """One run, or the part of it that one incarnation counted, cumulative."""

    run_id: str
    part: int = 0
    """0, or the ordinal of the record that opened a later part. Readers sum parts."""
    thread_id: str | None = None
    root_agent: str | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    status: str = "open"
    started_ns: int
    ended_ns: int | None = None
    late: bool = False
    """Whether usage arrived after the run had closed."""
    cells: tuple[Cell, ...] = ()
    """Callers in here can carry instances (``subagent:researcher#2``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Gauges about the counting itself, for the whole incarnation."""

    started: int = 0
    finished: int = 0
    with_usage: int = 0
    unattributed: int = 0
    cached: int = 0
    failed_attempts: int = 0
    anomalies: Mapping[str, int] = field(default_factory=dict[str, int])
    reconciliations: Mapping[str, int] = field(default_factory=dict[str, int])
    folded_cells: int = 0
    journal_bytes: int = 0
    journal_errors: int = 0
    degraded: bool = False
    """Whether the journal could not be written and the books live in memory alone."""
    undelivered: int = 0
    """Tokens that no acknowledgement covered when this was sent."""
    drift: int = 0
    """Collections whose metric points differed from the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The object ``tokenbeat`` of a heartbeat."""

    version: int = 1
    incarnation: str
    service: Service
    sender: Sender = "process"
    sent_ns: int
    interval_ms: int
    revision: int
    """The last ordinal up to which nothing is left out of what the sender has sent."""
    base: int
    """All cells and runs that changed after this ordinal, up to ``revision``, are in here."""
    nonce: str | None = None
    """This beat's own; None outside the chain (sidecar, recovery)."""
    nonces: tuple[str, ...] = ()
    """Earlier ones: the last 8 and all since the last acknowledgement."""
    final: bool = False
    cuts: tuple[CutCells, ...] = ()
    """In the order of time; the last one is the snapshot itself."""
    runs: tuple[RunCells, ...] = ()
    open_calls: int = 0
    books: Books = field(default_factory=Books)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWindow:
    """One model in AgentSpec's window."""

    model_id: str
    """``provider/model`` by convention."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int
    call_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWindow:
    """AgentSpec's ``usage``: what is new since a moment. Never counted beside a `Beat`."""

    window_started_at: str | None
    """As sent: with the agent it is the key under which the greatest window is kept."""
    window_started_ns: int | None
    """The same as a time, where it can be read as one."""
    models: tuple[ModelWindow, ...]
    total_tokens: int
    total_calls: int


@dataclass(frozen=True, slots=True)
class Health:
    """AgentSpec's ``health``: an object that each reporter fills as it likes."""

    raw: Mapping[str, object]

    @property
    def phase(self) -> Phase:
        """The status in AgentSpec's four words; what is not known is Unknown."""
        status = self.raw.get("status")
        return _PHASES.get(status.lower(), "Unknown") if isinstance(status, str) else "Unknown"


@dataclass(frozen=True, slots=True)
class Gap:
    """AgentSpec's ``gap``: an object, with a score in it or not."""

    raw: Mapping[str, object]

    @property
    def score(self) -> int | None:
        """0 to 100 from ``score`` or the SDK's ``overallScore``; None where there is none."""
        for name in ("score", "overallScore"):
            value = self.raw.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 not NaN
                return int(min(max(value, 0), 100))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One message: AgentSpec's parts, and ours where the sender knows it."""

    health: Health
    gap: Gap
    usage: UsageWindow | None = None
    proof: tuple[Mapping[str, object], ...] = ()
    beat: Beat | None = None
