"""The demo's other processes: started, waited for, stopped by their own id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tokenbeat.demo.errors import ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

_SECRETS: Final = re.compile(r"(_API_KEY|_TOKEN|_SECRET|_PASSWORD)$")
_CONFIGURED: Final = ("OTEL_", "TOKENBEAT_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "ANTHROPIC_")
_STOP_S: Final = 10.0


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The process's own environment without keys and settings, and with ``variables``.

    A demo must never spend on a key that happens to lie about.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not _SECRETS.search(name) and not name.startswith(_CONFIGURED)
    }
    return {**kept, **variables}


def run(name: str, arguments: Sequence[str], *, variables: Mapping[str, str]) -> str:
    """Runs a Python program to its end and returns what it printed.

    Raises:
        ProcessFailed: It ended with an error.
    """
    done = subprocess.run(  # noqa: S603 our own programs
        [sys.executable, *arguments], env=environment(variables), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise ProcessFailed(name=name, said=done.stderr or done.stdout)
    return done.stdout


@contextmanager
def background(
    command: Sequence[str], *, variables: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[str], None, None]:
    """Runs a program beside the demo; its standard output is a pipe.

    Args:
        command: The program and its arguments.
        variables: Of its environment, besides the demo's own.
        log: Where its standard error goes.
    """
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 our own programs
            command, env=environment(variables), stdout=subprocess.PIPE,
            stderr=errors, text=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)
        if process.stdout is not None:
            process.stdout.close()


def first_line(process: subprocess.Popen[str], *, name: str, log: Path) -> str:
    """Waits for the first line that a program prints: it is ready then.

    Raises:
        ProcessFailed: It ended without one.
    """
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        process.wait(_STOP_S)
        raise ProcessFailed(name=name, said=log.read_text(encoding="utf-8")[-2_000:])
    return line
