"""Errors of the command line. Each message is one line.

TokenbeatError
└── CommandError               a command could not be done: exit code 1
    ├── BadOption              it was asked for wrongly: exit code 2
    ├── NoAnswer               the control plane cannot be reached or answers something else
    ├── RefusedByServer        the control plane says no
    └── UnusableFile           a file cannot be read or written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.errors import TokenbeatError

if TYPE_CHECKING:
    from pathlib import Path


class CommandError(TokenbeatError):
    """A command could not be done."""

    exit_code = 1


class BadOption(CommandError):
    """A command was asked for wrongly.

    Attributes:
        option: The option or variable, as the user writes it.
        reason: What is wrong with it.
    """

    exit_code = 2

    def __init__(self, *, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason


class NoAnswer(CommandError):
    """Nobody answers at an address as a control plane does.

    Attributes:
        url: The address that was asked.
        reason: What happened instead.
    """

    def __init__(self, *, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class RefusedByServer(CommandError):
    """The control plane says no.

    Attributes:
        status: HTTP status.
        reason: What it says.
        field: The field that it names, or None.
    """

    def __init__(self, *, status: int, reason: str, field: str | None = None) -> None:
        super().__init__(f"the control plane refuses ({status}): {reason}")
        self.status = status
        self.reason = reason
        self.field = field


class UnusableFile(CommandError):
    """A file cannot be read or written.

    Attributes:
        path: The file.
        reason: Why.
    """

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
