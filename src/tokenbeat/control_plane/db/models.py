"""The tables. The tenant comes first in every primary key, so no query can forget it.

    tenants ─┬─ services ─── incarnations ─┬─ cells          what each process counted, cumulative
             │                             ├─ buckets        the same by minute, increases
             ├─ keys                       └─ runs ── run_cells
             ├─ cell_keys   what a cell counts for, once for all tables
             └─ agentspec_windows   AgentSpec's windows, so that a repeated one counts once

Sums of ``buckets`` over time equal ``cells``; both hold the columns of `CountColumns`. All counts
only rise. Relationships are not mapped: what is read is joined where it is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKeyConstraint, Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tokenbeat.control_plane.db.types import UtcDateTime

DEFAULT_TENANT = "default"
"""The tenant of a control plane that was told of no other."""


class Base(DeclarativeBase):
    """The schema; the migrations in ``migrations/versions`` make exactly this."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class CountColumns:
    """One column for each of `tokenbeat.usage.counts.COUNT_FIELDS`, in that order."""

    ok: Mapped[int]
    error: Mapped[int]
    cancelled: Mapped[int]
    abandoned: Mapped[int]
    unfinished: Mapped[int]
    with_usage: Mapped[int]
    partial: Mapped[int]
    cached: Mapped[int]
    failed_attempts: Mapped[int]
    items: Mapped[int]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cache_read_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    cache_write_5m_tokens: Mapped[int]
    cache_write_1h_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    unclassified_tokens: Mapped[int]
    input_text_tokens: Mapped[int]
    input_audio_tokens: Mapped[int]
    input_image_tokens: Mapped[int]
    output_text_tokens: Mapped[int]
    output_audio_tokens: Mapped[int]
    output_image_tokens: Mapped[int]
    cached_input_tokens: Mapped[int]
    cached_output_tokens: Mapped[int]
    cached_unclassified_tokens: Mapped[int]


class Tenant(Base):
    """Whose data it is."""

    __tablename__ = "tenants"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)
    """Rises with every commit that changes what a report of this tenant would show."""
    created_at: Mapped[datetime]


class Service(Base):
    """Who reports: ``service.name``, which AgentSpec calls the agent."""

    __tablename__ = "services"
    __table_args__ = (
        ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),
        Index("services_agent_id", "tenant", "agent_id", unique=True),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    """1 to 63 characters that AgentSpec allows."""
    agent_id: Mapped[str]
    """AgentSpec's ``agt_`` and 32 hexadecimal digits."""
    original_name: Mapped[str]
    """The name as the service itself says it, before it was mapped."""
    namespace: Mapped[str | None]
    runtime: Mapped[str]
    """bedrock, vertex, docker, local or k8s; ``local`` where nobody said."""
    manifest: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    last_seen: Mapped[datetime | None]
    """When its latest accepted beat was received; None before the first."""
    interval_ms: Mapped[int]
    """How often it says that it beats (milliseconds)."""
    phase: Mapped[str]
    """Healthy, Degraded, Unhealthy or Unknown, from the latest beat's ``health.status``."""
    grade: Mapped[str | None]
    """A to F, from ``score``."""
    score: Mapped[int | None]
    """0 to 100, from the latest beat's ``gap``; None where it had none."""
    health: Mapped[dict[str, Any] | None]
    """``health`` as the latest beat brought it."""
    gap: Mapped[dict[str, Any] | None]
    proof: Mapped[list[Any] | None]
    """``proof`` as the latest beat of an AgentSpec reporter brought it."""
    window: Mapped[dict[str, Any] | None]
    """AgentSpec's ``usage`` of the latest beat that had one; never counted where cells came."""
    window_received_at: Mapped[datetime | None]
    windowed_at: Mapped[datetime | None]
    """When the latest beat without cells was accepted: what their rate limit goes by."""


class Key(Base):
    """A key that opens the heartbeat. Only a hash of its id is kept."""

    __tablename__ = "keys"
    __table_args__ = (
        ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),
        Index("keys_name", "tenant", "kind", "name"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    jti_sha256: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of the key's ``jti``, hexadecimal."""
    kind: Mapped[str]
    """``agent`` (one service) or ``fleet`` (any service of the tenant)."""
    name: Mapped[str]
    """The service of an agent key, the label of a fleet key."""
    subject: Mapped[str]
    """The key's ``sub``: ``agt_…`` or ``flt_…``."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Incarnation(Base):
    """One process or fork of a service; or, for AgentSpec's windows, a service as a whole."""

    __tablename__ = "incarnations"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "service"], ["services.tenant", "services.service"]),
        Index("incarnations_service", "tenant", "service", "last_seen"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str] = mapped_column(primary_key=True)
    """Its own id; ``agentspec:`` and the service for AgentSpec's windows."""
    service: Mapped[str]
    kind: Mapped[str]
    """``tokenbeat`` or ``agentspec``."""
    revision: Mapped[int]
    """The greatest revision up to which everything of it is held here."""
    nonce: Mapped[str | None]
    """Of the latest beat in the chain that tells clones apart."""
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    beats: Mapped[int]
    """Accepted beats, repeated ones too."""
    beat_window_at: Mapped[datetime]
    """When the minute began that `beat_window_count` counts accepted beats of."""
    beat_window_count: Mapped[int]
    cuts_ahead: Mapped[int]
    """Cuts whose time was too far in the future and that were booked at their receipt."""

    # What follows is of the beat with the highest (revision, sentAt).
    gauge_revision: Mapped[int]
    sent_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    interval_ms: Mapped[int]
    instance: Mapped[str | None]
    host: Mapped[str | None]
    pod: Mapped[str | None]
    sdk_version: Mapped[str | None]
    sender: Mapped[str | None]
    """Who sent it: the process itself, a sidecar, a recovery."""
    open_calls: Mapped[int]
    """Calls under way."""
    books: Mapped[dict[str, Any] | None]
    """What the process says of its own books (started, finished, drift, …)."""
    final: Mapped[bool]
    """It said that it ends; a hint, more may come."""


class CellKeyRow(Base):
    """What a cell counts for. A ``cell`` is a hash of the other columns."""

    __tablename__ = "cell_keys"
    __table_args__ = (ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),)

    tenant: Mapped[str] = mapped_column(primary_key=True)
    cell: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str]
    provider: Mapped[str]
    request_model: Mapped[str | None]
    response_model: Mapped[str | None]
    agent: Mapped[str | None]
    caller: Mapped[str]
    """The caller's path; keys of run cells may carry instances (``researcher#2``)."""


class Cell(CountColumns, Base):
    """What an incarnation counted since it began."""

    __tablename__ = "cells"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str] = mapped_column(primary_key=True)
    cell: Mapped[str] = mapped_column(primary_key=True)


class Bucket(CountColumns, Base):
    """By how much a cell rose within one minute."""

    __tablename__ = "buckets"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
        Index("buckets_minute", "tenant", "minute"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True)
    """The END of the bucket in minutes since 1970 (UTC): it holds (end - 1 minute, end]."""
    cell: Mapped[str] = mapped_column(primary_key=True)


class Run(Base):
    """A run, as one incarnation saw it. Readers sum its parts and incarnations."""

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        Index("runs_run", "tenant", "run"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int]
    """Of the beat that these columns are from: the highest (revision, sentAt) wins."""
    sent_at: Mapped[datetime]
    thread: Mapped[str | None]
    root_agent: Mapped[str | None]
    user_name: Mapped[str | None]
    status: Mapped[str]
    """``open`` or how it ended."""
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    late: Mapped[bool]
    """Usage was added after it ended."""
    labels: Mapped[dict[str, Any] | None]


class RunCell(CountColumns, Base):
    """What a run counted, as one incarnation saw it."""

    __tablename__ = "run_cells"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant", "incarnation", "run", "part"],
            ["runs.tenant", "runs.incarnation", "runs.run", "runs.part"],
        ),
        ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    incarnation: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    cell: Mapped[str] = mapped_column(primary_key=True)


class AgentSpecWindow(Base):
    """The greatest counts that were told for one model of one window of AgentSpec's."""

    __tablename__ = "agentspec_windows"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "service"], ["services.tenant", "services.service"]),
        Index("agentspec_windows_heard", "tenant", "service", "heard_at"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column(primary_key=True)
    """``windowStartedAt``: as a UTC time to the microsecond where it is one, else as it came."""
    model_sha256: Mapped[str] = mapped_column(primary_key=True)
    """Of ``model_id``: an id can be longer than an index entry may be."""
    model_id: Mapped[str]
    """As AgentSpec writes it: ``provider/model``."""
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    total_tokens: Mapped[int]
    calls: Mapped[int]
    heard_at: Mapped[datetime]
    """When a beat last told of it."""
