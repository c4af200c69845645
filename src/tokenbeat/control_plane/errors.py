"""Errors of the control plane, and the tree of them.

    ControlPlaneError
    ├── BadSetting                 settings: the start stops
    ├── DatabaseError              db: cannot be reached, or its schema is not ours
    ├── IngestError                ingest: a beat that is not taken (ingest/errors.py)
    └── AccessError                keys: a key that opens nothing (keys/errors.py)

They know no HTTP status: ``problems.py`` does.
"""

from __future__ import annotations

from tokenbeat.errors import TokenbeatError


class ControlPlaneError(TokenbeatError):
    """Something that the control plane can name went wrong."""


class BadSetting(ControlPlaneError):
    """A setting that the server does not start with.

    Attributes:
        setting: Name of the environment variable.
        reason: What is wrong with it; never a secret's value.
    """

    def __init__(self, *, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason


class DatabaseError(ControlPlaneError):
    """The database cannot be used.

    Attributes:
        reason: What is wrong, without address or password.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"the database cannot be used: {reason}")
        self.reason = reason
