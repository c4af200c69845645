"""``tokenbeat register``: makes the key under which a service reports."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import click

from tokenbeat.cli.errors import NoAnswer, UnusableFile
from tokenbeat.heartbeat.names import service_name

if TYPE_CHECKING:
    from pathlib import Path

    from tokenbeat.cli.asking import Server


def register(  # noqa: PLR0913 a registration has these facts
    server: Server, name: str, *, key_file: Path | None, fleet: bool, runtime: str, as_json: bool
) -> None:
    """Prints the key, or writes it to a file.

    Raises:
        NoAnswer: There is no control plane at the address.
        RefusedByServer: It does not make the key.
        UnusableFile: The file cannot be written; the key is then printed nowhere.
    """
    called = service_name(name)
    if called != name:
        click.echo(f"{name!r} is called {called!r} by the control plane.", err=True)
    if key_file is not None:
        _try_to_write(key_file)
    answer = server.post(
        "/api/v1/register",
        {"agentName": called, "runtime": runtime, "kind": "fleet" if fleet else "agent"},
    )
    key, subject, expires_at = (answer.get(n) for n in ("apiKey", "agentId", "expiresAt"))
    if not (isinstance(key, str) and isinstance(subject, str) and isinstance(expires_at, str)):
        raise NoAnswer(url=server.url, reason="answered without a key")
    told: dict[str, str] = {"service": called, "agentId": subject, "expiresAt": expires_at}
    if key_file is not None:
        _write(key_file, key)
        told["keyFile"] = str(key_file)
        if not as_json:
            click.echo(f"Key of {called} is in {key_file}, valid until {expires_at}.")
    elif not as_json:
        click.echo(f"Key of {called}, valid until {expires_at}; it is shown this once:", err=True)
        click.echo(key)
    if as_json:
        click.echo(json.dumps(told if key_file is not None else {**told, "apiKey": key}))


def _try_to_write(file: Path) -> None:
    """Finds out before the key is made, because making it ends the key before it."""
    folder = file.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        reason = "its folder cannot be written to" if folder.is_dir() else "its folder is missing"
        raise UnusableFile(path=file, reason=reason)


def _write(file: Path, key: str) -> None:
    """Puts the key in place at once: an agent that reads the file never sees half of it."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(f"{key}\n")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UnusableFile(path=file, reason=error.strerror or str(error)) from error
