"""The command line: ``tokenbeat serve | register | usage | journal | version``.

Answers go to standard output and nothing else does, so that they can be piped; what is said about
them goes to standard error. An error is one line that names the option, variable or file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 1 it could not be done, 2 it was asked for wrongly.

    Args:
        arguments: What stands behind ``tokenbeat``; the process's own where none are given.
    """
    from tokenbeat.cli.running import run  # noqa: PLC0415 importing does nothing

    run(arguments)
