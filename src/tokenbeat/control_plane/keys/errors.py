"""What is wrong with a key or a registration.

ControlPlaneError
└── AccessError
├── KeyMissing             no key where one is needed
├── KeyRefused             a key that opens nothing (any more)
├── AdminKeyRefused        missing or wrong admin key
└── RegistrationRefused    a registration that is not taken; names the field
"""

from __future__ import annotations

from tokenbeat.control_plane.errors import ControlPlaneError


class AccessError(ControlPlaneError):
    """Somebody may not do what they asked for. No message repeats a key."""


class KeyMissing(AccessError):
    """A heartbeat came without a bearer key."""

    def __init__(self) -> None:
        super().__init__("the header Authorization must carry a key: Bearer KEY")


class KeyRefused(AccessError):
    """A heartbeat key that opens nothing.

    Attributes:
        reason: Why: not signed here, expired, unknown, revoked.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"the key {reason}")
        self.reason = reason


class AdminKeyRefused(AccessError):
    """The admin key is missing or wrong.

    Attributes:
        missing: Whether there was none at all.
    """

    def __init__(self, *, missing: bool) -> None:
        super().__init__(
            "the header X-Admin-Key must carry the admin key" if missing else "wrong admin key"
        )
        self.missing = missing


class RegistrationRefused(AccessError):
    """A registration that is not taken.

    Attributes:
        field: The field at fault.
        reason: What is wrong there, as the end of a sentence.
    """

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason
