"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tokenbeat.control_plane.db.types import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out and not taken from the code: what this step made stays what it made.
_COUNTS = (
    "ok", "error", "cancelled", "abandoned", "unfinished", "with_usage", "partial", "cached",
    "failed_attempts", "items", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens",
    "unclassified_tokens", "input_text_tokens", "input_audio_tokens", "input_image_tokens",
    "output_text_tokens", "output_audio_tokens", "output_image_tokens", "cached_input_tokens",
    "cached_output_tokens", "cached_unclassified_tokens",
)  # fmt: skip


def _counts() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS]


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "cell_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("request_model", sa.Text(), nullable=True),
        sa.Column("response_model", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),
        sa.PrimaryKeyConstraint("tenant", "cell"),
    )
    op.create_table(
        "keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("jti_sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),
        sa.PrimaryKeyConstraint("tenant", "jti_sha256"),
    )
    op.create_index("keys_name", "keys", ["tenant", "kind", "name"])
    op.create_table(
        "services",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("original_name", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=True),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen", UtcDateTime(), nullable=True),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=True),
        sa.Column("score", sa.BigInteger(), nullable=True),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.Column("gap", sa.JSON(), nullable=True),
        sa.Column("proof", sa.JSON(), nullable=True),
        sa.Column("window", sa.JSON(), nullable=True),
        sa.Column("window_received_at", UtcDateTime(), nullable=True),
        sa.Column("windowed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"]),
        sa.PrimaryKeyConstraint("tenant", "service"),
    )
    op.create_index("services_agent_id", "services", ["tenant", "agent_id"], unique=True)
    op.create_table(
        "agentspec_windows",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant", "service"], ["services.tenant", "services.service"]),
        sa.PrimaryKeyConstraint("tenant", "service", "window", "model_sha256"),
    )
    op.create_index(
        "agentspec_windows_heard", "agentspec_windows", ["tenant", "service", "heard_at"]
    )
    op.create_table(
        "incarnations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("first_seen", UtcDateTime(), nullable=False),
        sa.Column("last_seen", UtcDateTime(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("beat_window_at", UtcDateTime(), nullable=False),
        sa.Column("beat_window_count", sa.BigInteger(), nullable=False),
        sa.Column("cuts_ahead", sa.BigInteger(), nullable=False),
        sa.Column("gauge_revision", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("pod", sa.Text(), nullable=True),
        sa.Column("sdk_version", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("open_calls", sa.BigInteger(), nullable=False),
        sa.Column("books", sa.JSON(), nullable=True),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["tenant", "service"], ["services.tenant", "services.service"]),
        sa.PrimaryKeyConstraint("tenant", "incarnation"),
    )
    op.create_index("incarnations_service", "incarnations", ["tenant", "service", "last_seen"])
    op.create_table(
        "buckets",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        *_counts(),
        sa.ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
        sa.ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        sa.PrimaryKeyConstraint("tenant", "incarnation", "minute", "cell"),
    )
    op.create_index("buckets_minute", "buckets", ["tenant", "minute"])
    op.create_table(
        "cells",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        *_counts(),
        sa.ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
        sa.ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        sa.PrimaryKeyConstraint("tenant", "incarnation", "cell"),
    )
    op.create_table(
        "runs",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("root_agent", sa.Text(), nullable=True),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "incarnation"], ["incarnations.tenant", "incarnations.incarnation"]
        ),
        sa.PrimaryKeyConstraint("tenant", "incarnation", "run", "part"),
    )
    op.create_index("runs_run", "runs", ["tenant", "run"])
    op.create_table(
        "run_cells",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        *_counts(),
        sa.ForeignKeyConstraint(["tenant", "cell"], ["cell_keys.tenant", "cell_keys.cell"]),
        sa.ForeignKeyConstraint(
            ["tenant", "incarnation", "run", "part"],
            ["runs.tenant", "runs.incarnation", "runs.run", "runs.part"],
        ),
        sa.PrimaryKeyConstraint("tenant", "incarnation", "run", "part", "cell"),
    )


def downgrade() -> None:
    """Drop them, with all that they hold."""
    for table in (
        "run_cells",
        "runs",
        "cells",
        "buckets",
        "incarnations",
        "agentspec_windows",
        "services",
        "keys",
        "cell_keys",
        "tenants",
    ):
        op.drop_table(table)
