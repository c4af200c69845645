"""Settings of the control plane: environment variables with the prefix ``TOKENBEAT_``.

They are read once, at the start. A value that cannot be meant stops the start with a line that
names the variable; see ``docs/control-plane.md`` for the list.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tokenbeat.control_plane.errors import BadSetting

PREFIX: Final = "TOKENBEAT_"
_WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 recognised, not bound
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


def _state_dir() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "tokenbeat" / "control-plane"


class ServerSettings(BaseSettings):
    """What ``tokenbeat serve`` goes by. Make it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. Other than loopback, keys must exist before the start."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """TCP port; 0 lets the system choose. 8000 is AgentSpec's."""
    data_dir: Path = Field(default_factory=_state_dir)
    """Folder (0700) of the database file, the admin key and the signing secret."""
    database_url: SecretStr | None = None
    """``sqlite:///path`` or ``postgresql://user:password@host/name``; default: a file in
    ``data_dir``."""
    admin_key: SecretStr | None = Field(default=None, min_length=16)
    """Key for registering and reading; default: the file ``admin.key`` in ``data_dir``."""
    signing_secret: SecretStr | None = Field(default=None, min_length=32)
    """What heartbeat keys are signed with; default: ``signing.secret`` in ``data_dir``."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names under which the server may be asked, separated by commas, besides ``host`` and
    loopback names; ``*`` allows any."""
    open_reads: bool | None = None
    """Whether reading needs no key. Default: only when bound to loopback."""
    key_lifetime_days: int = Field(default=30, ge=1, le=3_650)
    """How long a heartbeat key is valid (days). 30 is AgentSpec's."""
    max_beat_increase: int = Field(default=10**10, ge=1, le=10**15)
    """The most by which one count of one cell may rise with one beat (tokens or calls)."""
    max_cells: int = Field(default=1_200, ge=1, le=100_000)
    """Cells of one incarnation, and of one run."""
    beats_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """Beats of one incarnation that are accepted within a minute."""
    window_interval_s: int = Field(default=10, ge=0, le=3_600)
    """Seconds between two beats of a reporter that sends AgentSpec's windows only; 10 is theirs."""
    min_heartbeat_interval_ms: int = Field(default=1_000, ge=1_000, le=600_000)
    """The shortest interval that agents are told to beat at (milliseconds)."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip().lower() for name in value.split(",") if name.strip())
        return value

    @property
    def on_loopback(self) -> bool:
        """Whether nobody outside this machine can reach the server."""
        if self.host in LOOPBACK_HOSTS:
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def reads_need_key(self) -> bool:
        """Whether reports, stream and page need a key."""
        return not (self.on_loopback if self.open_reads is None else self.open_reads)

    @property
    def hosts(self) -> frozenset[str]:
        """Names that a request's Host header may carry; ``*`` is any."""
        own = () if self.host in _WILDCARDS else (self.host.strip("[]").lower(),)
        return frozenset((*LOOPBACK_HOSTS, *own, *self.allowed_hosts))

    @property
    def database(self) -> str:
        """The database's address, the default filled in."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.expanduser().absolute() / 'tokenbeat.sqlite3'}"


def load_settings(**given: object) -> ServerSettings:
    """Settings from the environment; what is given by name comes before it.

    Raises:
        BadSetting: A value cannot be meant, or reads would be open to the network.
    """
    try:
        settings = ServerSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise BadSetting(setting=f"{PREFIX}{name.upper()}", reason=first["msg"]) from error
    if settings.open_reads and not settings.on_loopback:
        raise BadSetting(
            setting=f"{PREFIX}OPEN_READS",
            reason=f"reads without a key are only possible on loopback, not on {settings.host}",
        )
    return settings
