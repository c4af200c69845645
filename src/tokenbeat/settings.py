"""Settings of an agent process, read once from the environment; standard library only.

Each ``TOKENBEAT_…`` constant is the name of an environment variable; its text says what it sets.
Beside them the names of OpenTelemetry's resource are read: ``OTEL_SERVICE_NAME``, and
``service.name``, ``service.namespace`` and ``service.instance.id`` of ``OTEL_RESOURCE_ATTRIBUTES``.

Empty is unset. A value that cannot be meant is named in the log once and its default is used: an
agent never fails to start over a setting of ours.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast, get_args
from urllib.parse import unquote, urlsplit

from tokenbeat.errors import TokenbeatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOGGER = logging.getLogger(__name__)

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

_SHORTEST_INTERVAL_MS: Final = 50
_LONGEST_INTERVAL_MS: Final = 600_000
_UNITS_MS: Final = {"": 1, "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000}
_DURATION: Final = re.compile(r"(\d{1,12})\s*([a-z]*)", re.ASCII)
_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")

_USER_AND_PASSWORD: Final = re.compile(r"//[^/]*@")

_T = TypeVar("_T")
_named: set[tuple[str, str]] = set()


class _Unfit(TokenbeatError):
    """A value that cannot be meant."""

    def __init__(self, *, must_be: str) -> None:
        super().__init__(f"must be {must_be}")
        self.must_be = must_be


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
        read = _Reader(variables)
        resource = _resource_attributes(variables.get(_RESOURCE_ATTRIBUTES, ""))
        service_name = variables.get(_SERVICE_NAME, "").strip() or resource.get("service.name")
        return cls(
            disabled=read(TOKENBEAT_DISABLED, _boolean, default=False),
            semconv=cast("Semconv", read.choice(TOKENBEAT_SEMCONV, get_args(Semconv), "both")),
            control_plane_url=read(TOKENBEAT_CONTROL_PLANE_URL, _url, default=None),
            api_key=read(TOKENBEAT_API_KEY, _key, default=None, secret=True),
            api_key_file=read(TOKENBEAT_API_KEY_FILE, _path, default=None),
            allow_plaintext=read(TOKENBEAT_ALLOW_PLAINTEXT, _boolean, default=False),
            heartbeat_interval_ms=read(TOKENBEAT_HEARTBEAT_INTERVAL, _interval, default=30_000),
            spool_dir=read(TOKENBEAT_SPOOL_DIR, _path, default=None) or state_dir(variables),
            journal_fsync=cast(
                "Fsync", read.choice(TOKENBEAT_JOURNAL_FSYNC, get_args(Fsync), "interval")
            ),
            spool_group=read(TOKENBEAT_SPOOL_GROUP, str, default=None),
            max_call_tokens=read(TOKENBEAT_MAX_CALL_TOKENS, _tokens, default=1_000_000_000),
            hash_ids=read(TOKENBEAT_HASH_IDS, _boolean, default=False),
            propagate_to=read(TOKENBEAT_PROPAGATE_TO, _hosts, default=()),
            sender=cast("Sender", read.choice(TOKENBEAT_SENDER, get_args(Sender), "process")),
            histograms=read(TOKENBEAT_HISTOGRAMS, _histograms, default=None),
            incarnation_label=read(TOKENBEAT_INCARNATION_LABEL, _boolean, default=True),
            service_name=service_name or UNKNOWN_SERVICE,
            service_namespace=resource.get("service.namespace"),
            service_instance_id=resource.get("service.instance.id"),
        )


class _Reader:
    """Reads one variable after the other; a bad one is logged and its default taken."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __call__(
        self, name: str, meaning: Callable[[str], _T], *, default: _T, secret: bool = False
    ) -> _T:
        text = self._variables.get(name, "").strip()
        if not text:
            return default
        try:
            return meaning(text)
        except _Unfit as unfit:
            _name_once(name, "(not shown)" if secret else text, must_be=unfit.must_be)
            return default

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words, in any case."""

        def meaning(text: str) -> str:
            if text.lower() not in choices:
                raise _Unfit(must_be=" or ".join(choices))
            return text.lower()

        return self(name, meaning, default=default)


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


def _name_once(name: str, text: str, *, must_be: str) -> None:
    if (name, text) in _named:
        return
    _named.add((name, text))
    shown = _USER_AND_PASSWORD.sub("//(not shown)@", text)[:200]
    _LOGGER.warning("%s must be %s, not %r; its default is used", name, must_be, shown)


def _boolean(text: str) -> bool:
    # OpenTelemetry takes "true" alone; "1" is what people write in containers.
    if text.lower() in {"true", "1"}:
        return True
    if text.lower() in {"false", "0"}:
        return False
    raise _Unfit(must_be="true or false")


def _interval(text: str) -> int:
    found = _DURATION.fullmatch(text.lower())
    unit_ms = _UNITS_MS.get(found[2]) if found else None
    if found is None or unit_ms is None:
        raise _Unfit(must_be="milliseconds, or a whole number with ms, s, m or h")
    interval_ms = int(found[1]) * unit_ms
    if not _SHORTEST_INTERVAL_MS <= interval_ms <= _LONGEST_INTERVAL_MS:
        raise _Unfit(must_be="from 50 milliseconds to 10 minutes")
    return interval_ms


def _tokens(text: str) -> int:
    digits = text.replace("_", "")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:20]) < 2**63:
        raise _Unfit(must_be="a whole number from 1 to 2^63 - 1")
    return int(digits)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # reading a port refuses one that is none
    except ValueError as error:
        raise _Unfit(must_be="an http or https address") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise _Unfit(must_be="an http or https address without query")
    if "@" in parts.netloc:
        raise _Unfit(
            must_be="an address without user and password; the key has a variable of its own"
        )
    return text.rstrip("/")


def _key(text: str) -> str:
    if not _HEADER_SAFE.fullmatch(text):
        raise _Unfit(must_be="one line of printable ASCII characters without spaces")
    return text


def _path(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # pathlib's answer to the ~ of nobody
        raise _Unfit(must_be="a path in a folder that exists") from error
    if "\0" in text:
        raise _Unfit(must_be="a path")
    return path


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if any("/" in host or "@" in host or host == "*" for host in hosts):
        raise _Unfit(must_be="host names separated by commas")
    return hosts


def _histograms(text: str) -> frozenset[str] | None:
    groups = frozenset(group.strip().lower() for group in text.split(",")) - {""}
    if groups == frozenset({"none"}):
        return frozenset()
    if groups == frozenset({"all"}):
        return HISTOGRAM_GROUPS
    if groups - HISTOGRAM_GROUPS:
        raise _Unfit(must_be="all, none, or some of " + ", ".join(sorted(HISTOGRAM_GROUPS)))
    return groups


def _resource_attributes(text: str) -> dict[str, str]:
    """``key=value,key=value`` with percent-encoded values; what cannot be read is left out."""
    attributes: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if equals and value.strip():
            attributes[key.strip()] = unquote(value.strip())
    return attributes


def exporters_named(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The exporters that the user asked for, for traces or metrics; ``none`` is none.

    Source: OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER (OpenTelemetry SDK environment variables).

    Args:
        environ: The variables; those of the process where none are given.
    """
    variables = os.environ if environ is None else environ
    named = ",".join(variables.get(name, "") for name in _EXPORTERS).split(",")
    return frozenset(name.strip() for name in named) - {"", "none"}
