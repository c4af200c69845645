"""The journal: every record is in a file before the callback that caused it returns."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING, Literal, Protocol

from tokenbeat.ledger.records import Opened, encode

if TYPE_CHECKING:
    from pathlib import Path

Fsync = Literal["always", "interval", "never"]


class Journal(Protocol):
    """Where lines go. Implementations are safe to call from any thread."""

    @property
    def bytes_written(self) -> int:
        """Bytes of all lines that were written."""
        ...

    def append(self, line: bytes) -> None:
        """Writes one line by one ``write``.

        Raises:
            OSError: It could not be written in full; the books go on in memory.
        """
        ...

    def sync(self) -> None:
        """Makes what was appended survive a power loss, where the policy asks for it.

        Raises:
            OSError: The disk refused.
        """
        ...

    def close(self) -> None:
        """Lets go of the file. What was appended stays."""
        ...


class FileJournal:
    """Appends to one file, made at the first record: a process that calls no model leaves no trace.

    The file is locked for as long as the process lives, so that a journal whose lock can be taken
    belongs to a dead incarnation. Folder 0700, file 0600.

    Args:
        path: The file to make; its folder is made, too.
        incarnation: Whose records these are.
        service: The service's name.
        started_ns: When the incarnation began, ns since 1970.
        fsync: ``always`` after each record, ``interval`` when a heartbeat asks, or ``never``.
    """

    def __init__(
        self, path: Path, *, incarnation: str, service: str, started_ns: int,
        fsync: Fsync = "interval",
    ) -> None:  # fmt: skip
        self.path = path
        self.bytes_written = 0
        self._opening = encode(Opened(incarnation, started_ns, service))
        self._fsync = fsync
        self._file: int | None = None
        self._torn = False
        self._lock = threading.Lock()

    def append(self, line: bytes) -> None:
        """See `Journal.append`."""
        file = self._file
        if file is None:
            file = self._open()
        if self._torn:
            # The line before was cut short: begin a new one, so that only that one is lost.
            self._torn = False
            line = b"\n" + line
        written = os.write(file, line)
        self.bytes_written += written
        if written != len(line):
            self._torn = True
            raise OSError(f"{written} of {len(line)} bytes were written to {self.path}")  # noqa: EM102 the protocol's own error type
        if self._fsync == "always":
            os.fsync(file)

    def sync(self) -> None:
        """See `Journal.sync`."""
        if self._file is not None and self._fsync == "interval":
            os.fsync(self._file)

    def close(self) -> None:
        """See `Journal.close`."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _open(self) -> int:
        with self._lock:
            if self._file is not None:
                return self._file
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.bytes_written += os.write(file, self._opening)
            except OSError:
                os.close(file)
                raise
            self._file = file
            return file
