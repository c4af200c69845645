"""Asks a control plane over HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode, urlsplit

import urllib3

from tokenbeat.cli.errors import BadOption, NoAnswer, RefusedByServer, UnusableFile
from tokenbeat.settings import AgentSettings, state_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT_S: Final = 30.0
_NEEDS_A_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Server:
    """A control plane at an address.

    Args:
        url: Its address.
        admin_key: Its admin key, or None.
        admin_key_file: A file that holds the key, or None; comes before ``admin_key``. Without
            either the key that a control plane on this machine wrote is used, for a control plane
            on this machine only.

    Raises:
        BadOption: The address is none, or a key would go over plain http through a network.
        UnusableFile: The key's file cannot be read.
    """

    def __init__(
        self, url: str, *, admin_key: str | None = None, admin_key_file: Path | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._on_this_machine = _on_this_machine(self.url)
        key = _read_key(admin_key_file) if admin_key_file else (admin_key or "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise BadOption(option="TOKENBEAT_ADMIN_KEY", reason="is not one line of ASCII")
        if key and self._would_show_key():
            raise BadOption(
                option="--url",
                reason="the admin key would go over plain http; use https, or set "
                "TOKENBEAT_ALLOW_PLAINTEXT=true",
            )
        self._key = key or None
        # No retries, no redirects: a key is never sent to where nobody meant it to go.
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S)

    def get(self, path: str, query: Mapping[str, str | None]) -> dict[str, Any]:
        """Reads; with a key only where one was given, or where the server asks for it."""
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        try:
            return self._ask("GET", target, key=self._key)
        except RefusedByServer as refused:
            key = self._machines_key()
            if refused.status not in _NEEDS_A_KEY or self._key is not None or key is None:
                raise
            return self._ask("GET", target, key=key)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Writes, with the admin key.

        Raises:
            BadOption: There is no admin key.
        """
        key = self._key or self._machines_key()
        if key is None:
            raise BadOption(
                option="--admin-key-file",
                reason="is needed (or TOKENBEAT_ADMIN_KEY): "
                + (
                    f"there is no {_machines_key_file()}; is the server's data folder another one?"
                    if self._on_this_machine
                    else "the control plane is on another machine"
                ),
            )
        return self._ask("POST", path, key=key, body=json.dumps(body).encode())

    def _machines_key(self) -> str | None:
        file = _machines_key_file()
        return _read_key(file) if self._on_this_machine and file.exists() else None

    def _would_show_key(self) -> bool:
        if self._on_this_machine or self.url.startswith("https:"):
            return False
        return not AgentSettings.from_env().allow_plaintext

    def _ask(
        self, method: str, target: str, *, key: str | None, body: bytes | None = None
    ) -> dict[str, Any]:
        url = self.url + target
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if key is not None:
            headers["X-Admin-Key"] = key
        try:
            answer = self._pool.request(method, url, headers=headers, body=body, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(url=self.url, reason=_reason(error)) from error
        kind = answer.headers.get("Content-Type", "nothing").partition(";")[0]
        try:
            content: object = json.loads(answer.data)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise NoAnswer(
                url=url,
                reason=f"answered {answer.status} with {kind}; is that a Tokenbeat control plane?",
            )
        fields = cast("dict[str, Any]", content)
        if answer.status != HTTPStatus.OK:
            field = fields.get("field")
            raise RefusedByServer(
                status=answer.status,
                reason=str(fields.get("detail") or fields.get("title") or "without a reason"),
                field=field if isinstance(field, str) else None,
            )
        return fields


def _on_this_machine(url: str) -> bool:
    """Whether the address is this machine's own; refuses what is no address."""
    option = "--url"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadOption(option=option, reason=f"{url!r} is no address") from error
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise BadOption(option=option, reason=f"{url!r} is no http or https address")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadOption(option=option, reason="an address has no user, password, query or fragment")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _machines_key_file() -> Path:
    return state_dir() / "control-plane" / "admin.key"


def _read_key(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError as error:
        raise UnusableFile(path=file, reason=error.strerror or str(error)) from error
    except ValueError as error:
        raise UnusableFile(path=file, reason="does not hold a key") from error


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return f"no answer: {cause.strerror}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {_TIMEOUT_S:.0f} seconds"
    return f"no answer: {type(error).__name__}"
