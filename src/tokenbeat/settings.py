"""Settings of an agent process, read once from the environment; standard library only.

Each ``TOKENBEAT_…`` constant is the name of an environment variable; its text says what it sets.
Beside them the names of OpenTelemetry's resource are read: ``OTEL_SERVICE_NAME``, and
``service.name``, ``service.namespace`` and ``service.instance.id`` of ``OTEL_RESOURCE_ATTRIBUTES``.

Empty is unset. A value that cannot be meant is named in the log once and its default is used: an
agent never fails to start over a setting of ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from tokenbeat.environment import (
    UnfitValue,
    VariableReader,
    boolean,
    file_path,
    header_key,
    host_names,
    interval_ms,
    resource_attributes,
    token_count,
    web_address,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Semconv = Literal["latest", "legacy", "both"]
Fsync = Literal["always", "interval", "never"]
Sender = Literal["process", "sidecar"]

TOKENBEAT_DISABLED: Final = "TOKENBEAT_DISABLED"
"""``true`` or ``1`` installs nothing: no handler, no thread, no file. Default: false."""

TOKENBEAT_SEMCONV: Final = "TOKENBEAT_SEMCONV"
"""Names of the token metrics: ``latest``, ``legacy`` or ``both``. Default: both."""

TOKENBEAT_CONTROL_PLANE_URL: Final = "TOKENBEAT_CONTROL_PLANE_URL"
"""Where heartbeats go, such as ``https://tokens.example.com``. Default: nowhere."""

TOKENBEAT_API_KEY: Final = "TOKENBEAT_API_KEY"
"""The key of this service at the control plane. Default: none."""

TOKENBEAT_API_KEY_FILE: Final = "TOKENBEAT_API_KEY_FILE"
"""A file that holds the key; it comes before TOKENBEAT_API_KEY and is read again after a 401."""

TOKENBEAT_ALLOW_PLAINTEXT: Final = "TOKENBEAT_ALLOW_PLAINTEXT"
"""``true`` or ``1`` allows plain http to a host that is not loopback. Default: false."""

TOKENBEAT_HEARTBEAT_INTERVAL: Final = "TOKENBEAT_HEARTBEAT_INTERVAL"
"""Time between two heartbeats, from 50 ms to 10 min: milliseconds, or with a unit (``500ms``,
``30s``, ``2m``). Default: 30000."""

TOKENBEAT_SPOOL_DIR: Final = "TOKENBEAT_SPOOL_DIR"
"""Folder of the journals. Default: ``tokenbeat`` in ``$XDG_STATE_HOME`` or ``~/.local/state``."""

TOKENBEAT_JOURNAL_FSYNC: Final = "TOKENBEAT_JOURNAL_FSYNC"
"""What survives a loss of power: each record (``always``), each heartbeat (``interval``), or what
the system wrote by itself (``never``). Default: interval. A killed process loses nothing."""

TOKENBEAT_SPOOL_GROUP: Final = "TOKENBEAT_SPOOL_GROUP"
"""Name or number of a group that may read the journals, for a sidecar of another user. Default:
none."""

TOKENBEAT_MAX_CALL_TOKENS: Final = "TOKENBEAT_MAX_CALL_TOKENS"
"""The greatest believable count of tokens in one field of one call. Default: 1000000000."""

TOKENBEAT_HASH_IDS: Final = "TOKENBEAT_HASH_IDS"
"""``true`` or ``1`` sends run and thread ids hashed. Default: false."""

TOKENBEAT_PROPAGATE_TO: Final = "TOKENBEAT_PROPAGATE_TO"
"""Hosts, separated by commas, whose requests carry who is calling. Default: none."""

TOKENBEAT_SENDER: Final = "TOKENBEAT_SENDER"
"""Who sends the heartbeats: this ``process``, or the ``sidecar`` that shares the spool. Default:
process."""

TOKENBEAT_HISTOGRAMS: Final = "TOKENBEAT_HISTOGRAMS"
"""Groups of histograms that are recorded, separated by commas: ``tokens``, ``token_distribution``,
``duration``, ``legacy_time``, ``chunks``, ``agents``; ``all`` or ``none``. Default:
tokens,duration,agents."""

TOKENBEAT_INCARNATION_LABEL: Final = "TOKENBEAT_INCARNATION_LABEL"
"""``false`` or ``0`` takes the label ``tokenbeat.incarnation`` off every metric, for backends that
bill by series; windows in Prometheus are estimates then. Default: true."""

# Not named OTEL_…: opentelemetry-instrument makes an option of each such name in this module and
# fails for every program where two modules have the same one.
_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
_RESOURCE_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"

_EXPORTERS: Final = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")

HISTOGRAM_GROUPS: Final = frozenset(
    {"tokens", "token_distribution", "duration", "legacy_time", "chunks", "agents"}
)
"""Histograms that are switched together; the page on metrics says what each costs."""

UNKNOWN_SERVICE: Final = "unknown_service"
"""The service's name where nobody set one, as in OpenTelemetry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What one agent process goes by. Each field's text is at the constant of its name above."""

    disabled: bool = False
    semconv: Semconv = "both"
    control_plane_url: str | None = None
    """Without a slash at its end."""
    api_key: str | None = field(default=None, repr=False)
    api_key_file: Path | None = None
    allow_plaintext: bool = False
    heartbeat_interval_ms: int = 30_000
    """Milliseconds, 50 to 600,000."""
    spool_dir: Path = Path(".local", "state", "tokenbeat")
    journal_fsync: Fsync = "interval"
    spool_group: str | None = None
    max_call_tokens: int = 1_000_000_000
    """Tokens, 1 to 2^63 - 1."""
    hash_ids: bool = False
    propagate_to: tuple[str, ...] = ()
    """Host names in lower case."""
    sender: Sender = "process"
    histograms: frozenset[str] | None = None
    """None takes what is on by default."""
    incarnation_label: bool = True
    service_name: str = UNKNOWN_SERVICE
    service_namespace: str | None = None
    service_instance_id: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> AgentSettings:
        """Reads the settings; bad values are logged once a process and replaced by the default.

        Args:
            environ: The variables; those of the process where none are given.
        """
        variables = os.environ if environ is None else environ
        read = VariableReader(variables)
        resource = resource_attributes(variables.get(_RESOURCE_ATTRIBUTES, ""))
        service_name = variables.get(_SERVICE_NAME, "").strip() or resource.get("service.name")
        return cls(
            disabled=read(TOKENBEAT_DISABLED, boolean, default=False),
            semconv=cast("Semconv", read.choice(TOKENBEAT_SEMCONV, get_args(Semconv), "both")),
            control_plane_url=read(TOKENBEAT_CONTROL_PLANE_URL, web_address, default=None),
            api_key=read(TOKENBEAT_API_KEY, header_key, default=None, secret=True),
            api_key_file=read(TOKENBEAT_API_KEY_FILE, file_path, default=None),
            allow_plaintext=read(TOKENBEAT_ALLOW_PLAINTEXT, boolean, default=False),
            heartbeat_interval_ms=read(TOKENBEAT_HEARTBEAT_INTERVAL, interval_ms, default=30_000),
            spool_dir=read(TOKENBEAT_SPOOL_DIR, file_path, default=None) or state_dir(variables),
            journal_fsync=cast(
                "Fsync", read.choice(TOKENBEAT_JOURNAL_FSYNC, get_args(Fsync), "interval")
            ),
            spool_group=read(TOKENBEAT_SPOOL_GROUP, str, default=None),
            max_call_tokens=read(TOKENBEAT_MAX_CALL_TOKENS, token_count, default=1_000_000_000),
            hash_ids=read(TOKENBEAT_HASH_IDS, boolean, default=False),
            propagate_to=read(TOKENBEAT_PROPAGATE_TO, host_names, default=()),
            sender=cast("Sender", read.choice(TOKENBEAT_SENDER, get_args(Sender), "process")),
            histograms=read(TOKENBEAT_HISTOGRAMS, _histograms, default=None),
            incarnation_label=read(TOKENBEAT_INCARNATION_LABEL, boolean, default=True),
            service_name=service_name or UNKNOWN_SERVICE,
            service_namespace=resource.get("service.namespace"),
            service_instance_id=resource.get("service.instance.id"),
        )


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of what Tokenbeat keeps for this user: journals, and a control plane's files.

    Args:
        environ: The variables; those of the process where none are given.
    """
    variables = os.environ if environ is None else environ
    state = variables.get("XDG_STATE_HOME", "")
    # The XDG rules: a relative path there is not to be used.
    if state and Path(state).is_absolute():
        return Path(state, "tokenbeat")
    home = variables.get("HOME", "")
    try:
        return Path(home or Path.home(), ".local", "state", "tokenbeat")
    except RuntimeError:  # a user without a home, as in some containers
        return Path("/var/tmp", f"tokenbeat-{os.getuid()}")  # noqa: S108 made 0700 by who writes


def _histograms(text: str) -> frozenset[str] | None:
    groups = frozenset(group.strip().lower() for group in text.split(",")) - {""}
    if groups == frozenset({"none"}):
        return frozenset()
    if groups == frozenset({"all"}):
        return HISTOGRAM_GROUPS
    if groups - HISTOGRAM_GROUPS:
        raise UnfitValue(must_be="all, none, or some of " + ", ".join(sorted(HISTOGRAM_GROUPS)))
    return groups


def exporters_named(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The exporters that the user asked for, for traces or metrics; ``none`` is none.

    Source: OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER (OpenTelemetry SDK environment variables).

    Args:
        environ: The variables; those of the process where none are given.
    """
    variables = os.environ if environ is None else environ
    named = ",".join(variables.get(name, "") for name in _EXPORTERS).split(",")
    return frozenset(name.strip() for name in named) - {"", "none"}
