"""One POST over urllib3: no redirects, no retries, bounded in time and size, never traced.

The key goes into one header of one request. Nothing that is raised from here holds it: what urllib3
raises is described in words and not chained.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import urllib3
from opentelemetry.instrumentation.utils import suppress_instrumentation

from tokenbeat.heartbeat.answers import Reply
from tokenbeat.heartbeat.errors import NoAnswer, PlaintextRefused, UrlRefused
from tokenbeat.heartbeat.redaction import described, shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.heartbeat.errors import NoAnswerKind

HEARTBEAT_PATH: Final = "/api/v1/heartbeat"

_ANSWER_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 8_192


class Transport(Protocol):
    """Carries one body to the control plane."""

    def post(
        self, body: bytes, *, headers: Mapping[str, str], key: str | None, timeout_s: float
    ) -> Reply:
        """Send and wait for the reply, in all at most ``timeout_s`` seconds.

        Raises:
            NoAnswer: No complete reply came; the server may or may not have been reached.
        """
        ...

    def renew(self) -> None:
        """In a forked child: let go of the parent's connection without touching it."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def heartbeat_url(control_plane_url: str, *, allow_plaintext: bool) -> str:
    """Where heartbeats go.

    Args:
        control_plane_url: ``TOKENBEAT_CONTROL_PLANE_URL``; a path in it is kept.
        allow_plaintext: ``TOKENBEAT_ALLOW_PLAINTEXT``.

    Raises:
        UrlRefused: It is no http or https URL, or it carries a user or password.
        PlaintextRefused: It is http and not this machine.
    """
    try:
        parts = urlsplit(control_plane_url.strip())
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise UrlRefused(reason="is no URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UrlRefused(reason="must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise UrlRefused(reason="must not hold a user or password; the key has its own variable")
    if parts.scheme == "http" and not allow_plaintext and not _is_loopback(host):
        raise PlaintextRefused(host=host)
    return shown_url(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{HEARTBEAT_PATH}")


class HttpTransport:
    """Heartbeats over one kept-alive connection.

    Args:
        url: What `heartbeat_url` gave.
        user_agent: Who we say that we are.
        monotonic_s: The clock for the bound in time: seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        user_agent: str = "tokenbeat",
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._user_agent = user_agent
        self._monotonic_s = monotonic_s
        self._pool = self._new_pool()

    def post(
        self, body: bytes, *, headers: Mapping[str, str], key: str | None, timeout_s: float
    ) -> Reply:
        """See `Transport.post`."""
        sent = {
            **headers,
            "Content-Type": "application/json",
            "Accept": "application/json, application/problem+json",
            "User-Agent": self._user_agent,
        }
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        deadline_s = self._monotonic_s() + timeout_s
        failure: tuple[NoAnswerKind, str] | None = None
        # In the sender's own thread: this request is no span and no metric of the application.
        with suppress_instrumentation():
            try:
                response = self._pool.request(
                    "POST",
                    self.url,
                    body=body,
                    headers=sent,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    timeout=urllib3.Timeout(total=timeout_s),
                )
                return self._read(response, deadline_s=deadline_s)
            except NoAnswer as error:
                failure = (error.kind, error.detail)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                # ValueError: a key with a line break in it is refused by http.client.
                failure = (_kind(error), described(error, key=key))
        # Raised outside of the handler: inside, the original would be its __context__.
        kind, detail = failure
        raise NoAnswer(kind=kind, detail=detail)

    def renew(self) -> None:
        """See `Transport.renew`."""
        self._pool = self._new_pool()

    def close(self) -> None:
        """See `Transport.close`."""
        self._pool.clear()

    def _new_pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(num_pools=1, maxsize=1, block=False)

    def _read(self, response: urllib3.BaseHTTPResponse, *, deadline_s: float) -> Reply:
        body = b""
        try:
            while len(body) <= _ANSWER_BYTES:
                # One slow byte after another keeps each read in time but not the whole.
                if self._monotonic_s() > deadline_s:
                    raise NoAnswer(kind="timeout", detail="the answer trickled in too slowly")
                chunk = response.read1(_CHUNK_BYTES, decode_content=True)
                if not chunk:
                    break
                body += chunk
        finally:
            if len(body) > _ANSWER_BYTES:
                response.close()
            response.release_conn()
        return Reply(
            status=response.status,
            content_type=response.headers.get("Content-Type", ""),
            retry_after=response.headers.get("Retry-After"),
            body=body[:_ANSWER_BYTES],
        )


def _kind(error: Exception) -> NoAnswerKind:
    exceptions = urllib3.exceptions
    if isinstance(error, (exceptions.ConnectTimeoutError, exceptions.NewConnectionError)):
        return "connect"
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "timeout"
    if isinstance(error, exceptions.SSLError):
        return "tls"
    return "reset"


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
