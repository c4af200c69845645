"""Runs a command and turns whatever ends it into a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from tokenbeat.cli.commands import tokenbeat
from tokenbeat.cli.errors import CommandError
from tokenbeat.errors import MissingExtra, TokenbeatError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def run(arguments: Sequence[str] | None) -> None:
    """Runs one command; ends in ``SystemExit``."""
    try:
        code: Any = tokenbeat.main(
            None if arguments is None else list(arguments),
            prog_name="tokenbeat",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except click.ClickException as error:
        _say(error.format_message())
        raise SystemExit(error.exit_code) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Who reads has gone, as `head` does; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except TokenbeatError as error:
        _say(str(error))
        raise SystemExit(_exit_code(error)) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _exit_code(error: TokenbeatError) -> int:
    if isinstance(error, CommandError):
        return error.exit_code
    return 1 if isinstance(error, MissingExtra) else 2


def _say(message: str) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"tokenbeat: {line}\n")
