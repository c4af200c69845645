"""Builds a sender from the settings of an agent process."""

from __future__ import annotations

import logging
import random
import secrets
import socket
from typing import TYPE_CHECKING, Final

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.heartbeat.disk import SpoolDisk
from tokenbeat.heartbeat.health import HealthProbe
from tokenbeat.heartbeat.identity import Identity
from tokenbeat.heartbeat.keys import Keys, key_reader
from tokenbeat.heartbeat.names import service_name
from tokenbeat.heartbeat.sender import Sender
from tokenbeat.heartbeat.transport import HttpTransport, heartbeat_url
from tokenbeat.heartbeat.values import Service
from tokenbeat.ledger.process import books, new_incarnation
from tokenbeat.settings import UNKNOWN_SERVICE
from tokenbeat.telemetry.providers import distribution_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.clock import Clock
    from tokenbeat.heartbeat.health import HealthCallable
    from tokenbeat.heartbeat.values import Sender as SenderKind
    from tokenbeat.settings import AgentSettings

_LOGGER: Final = logging.getLogger("tokenbeat.heartbeat")


class HealthSlot:
    """Where the user's callable is put once `tokenbeat.start` was told of it."""

    def __init__(self) -> None:
        self._probe: HealthProbe | None = None

    def put(self, ask: HealthCallable) -> None:
        """Ask this one before each beat from now on."""
        self._probe = HealthProbe(ask)

    def __call__(self) -> Mapping[str, object] | None:
        """The report, None where there is none."""
        return None if self._probe is None else self._probe()


def service_of(settings: AgentSettings) -> Service:
    """Who reports, as far as the settings tell; each beat sets when its incarnation began."""
    name = service_name(settings.service_name)
    return Service(
        name=name,
        original_name=None if name == settings.service_name else settings.service_name,
        namespace=settings.service_namespace,
        instance=settings.service_instance_id,
        started_ns=0,
        host=socket.gethostname() or None,
        sdk_version=distribution_version(),
    )


def build_sender(
    settings: AgentSettings,
    *,
    control_plane_url: str,
    kind: SenderKind,
    health: Callable[[], Mapping[str, object] | None],
    clock: Clock = SYSTEM_CLOCK,
) -> Sender:
    """A sender for the books of this process.

    Args:
        settings: Interval, keys, spool and service.
        control_plane_url: Where to.
        kind: Who sends: only the process itself is in the chain of nonces.
        health: Gives the user's report.
        clock: Both clocks.

    Raises:
        UrlRefused: The address cannot be used.
        PlaintextRefused: The key would travel unencrypted.
    """
    url = heartbeat_url(control_plane_url, allow_plaintext=settings.allow_plaintext)
    service = service_of(settings)
    if settings.service_name.startswith(UNKNOWN_SERVICE):
        _LOGGER.warning(
            "Heartbeats go out as the service %s: set OTEL_SERVICE_NAME to the agent's name.",
            service.name,
        )

    def disk() -> SpoolDisk:
        folder = settings.spool_dir / settings.service_name.replace("/", "_")
        return SpoolDisk(books().journal, folder=folder)

    return Sender(
        Identity(
            service=service,
            sender=kind,
            url=url,
            new_nonce=lambda: secrets.token_urlsafe(8),
            new_incarnation=new_incarnation,
        ),
        books=books,
        clock=clock,
        transport=HttpTransport(url, user_agent=f"tokenbeat/{service.sdk_version}"),
        keys=Keys(key_reader(file=settings.api_key_file, key=settings.api_key)),
        # Not the shared generator: seeding it is the application's business.
        chance=random.SystemRandom().random,
        interval_ms=settings.heartbeat_interval_ms,
        disk=disk,
        health=health,
    )
