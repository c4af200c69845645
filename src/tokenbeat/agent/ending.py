"""The end of a process: the last beat goes out, at most five seconds long."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

FINAL_SECONDS: Final = 5.0
"""How long an exit waits for the control plane; what does not get through is in the journal."""


class Ending:
    """Calls ``finish`` once when the process exits, by itself or by SIGTERM.

    ``atexit`` does not run after SIGTERM. A handler is installed only where SIGTERM would kill the
    process at once: an application's own handler, earlier or later, stays as it is.

    Args:
        finish: What is to be done last; it may take `FINAL_SECONDS`.
        killed: The same where nobody else will do anything after it.
    """

    def __init__(
        self, finish: Callable[[], None], *, killed: Callable[[], None] | None = None
    ) -> None:
        self._finish = finish
        self._killed = finish if killed is None else killed
        self._owner = 0

    def begin(self) -> None:
        """Registers for the exit of this process."""
        self._owner = os.getpid()
        atexit.register(self._at_exit)
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def cancel(self) -> None:
        """Takes everything back."""
        atexit.unregister(self._at_exit)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _at_exit(self) -> None:
        if self._owner == os.getpid():
            self._finish()

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        del frame
        # In a thread of its own: the signal may have interrupted somebody who holds our lock.
        last = threading.Thread(target=self._killed, name="tokenbeat-final", daemon=True)
        last.start()
        last.join(FINAL_SECONDS)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
