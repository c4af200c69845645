"""The two secrets of a control plane. There is no default for either.

The first start writes them to files of mode 0600 in a folder of mode 0700; a later start reads
them. A file that others can read is refused: whoever holds the signing secret can make keys.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from tokenbeat.control_plane.errors import BadSetting

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from tokenbeat.control_plane.settings import ServerSettings

ADMIN_KEY_FILE: Final = "admin.key"
SIGNING_SECRET_FILE: Final = "signing.secret"  # noqa: S105 a file name
_LEAST_CHARACTERS: Final = 32
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the server knows and shows to nobody (nor in its own repr)."""

    admin_key: str = field(repr=False)
    signing_secret: str = field(repr=False)

    def is_admin_key(self, given: str) -> bool:
        """Compare in constant time."""
        return compare_digest(given.encode(), self.admin_key.encode())


def open_secrets(settings: ServerSettings) -> Secrets:
    """The secrets of these settings, written now if this is the first start on loopback.

    Raises:
        BadSetting: A file cannot be read or written, or others can read it; or the server would
            listen on other than loopback and nobody ever made an admin key: what is generated at
            such a start nobody knows, and the door stands open to the network meanwhile.
    """
    folder = settings.data_dir.expanduser().absolute()
    admin_file = folder / ADMIN_KEY_FILE
    if not settings.on_loopback and settings.admin_key is None and not admin_file.exists():
        raise BadSetting(
            setting="TOKENBEAT_HOST",
            reason=f"listening on {settings.host} needs keys that exist before: set "
            f"TOKENBEAT_ADMIN_KEY, or put one into {admin_file} (mode 0600), or start once on "
            "127.0.0.1, which makes one",
        )
    return Secrets(
        admin_key=_secret(settings.admin_key, file=admin_file),
        signing_secret=_secret(settings.signing_secret, file=folder / SIGNING_SECRET_FILE),
    )


def _secret(given: SecretStr | None, *, file: Path) -> str:
    if given is not None:
        return given.get_secret_value()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _read(file) if file.exists() else _write(file)
    except FileExistsError:
        return _read(file)  # another process of ours was faster
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(setting="TOKENBEAT_DATA_DIR", reason=f"{file}: {error}") from error


def _read(file: Path) -> str:
    if stat.S_IMODE(file.stat().st_mode) & _OTHERS:
        raise BadSetting(
            setting="TOKENBEAT_DATA_DIR", reason=f"{file} can be read by others: chmod 600 it"
        )
    secret = file.read_text("utf-8").strip()
    if len(secret) < _LEAST_CHARACTERS:
        raise BadSetting(
            setting="TOKENBEAT_DATA_DIR",
            reason=f"{file} holds fewer than {_LEAST_CHARACTERS} characters",
        )
    return secret


def _write(file: Path) -> str:
    secret = secrets.token_urlsafe(48)
    # Linked into place when complete: another process that starts never reads half a secret.
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(f"{secret}\n")
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, file)
    finally:
        draft.unlink()
    return secret
