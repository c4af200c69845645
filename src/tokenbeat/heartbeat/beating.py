"""The sender's own thread: beats begin with the first recorded call, or when somebody asks.

A helper process of the application (a resource tracker, pip, a shell) loads us and calls no model:
it sends nothing and leaves no trace.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from tokenbeat.guard import contained

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.clock import Clock
    from tokenbeat.heartbeat.sender import Beaten, Sender

FINAL_S: Final = 5.0
"""The longest that an exit waits for the final beat: seconds. The journal keeps what is left."""

_NS_PER_S: Final = 1_000_000_000
_LOOK_FOR_CALLS_S: Final = 0.2
_AFTER_ERROR_S: Final = 10.0
_BEAT: Final = contained("heartbeat.beat")


class Watched(Protocol):
    """The books, as far as somebody waits for their first record."""

    def wait_for_change(self, revision: int, timeout_s: float) -> bool:
        """Wait until something beyond ``revision`` is entered."""
        ...


class Beating:
    """Drives a sender.

    Args:
        sender: Sends one beat.
        books: Gives the books of this process.
        clock: Its monotonic side bounds the end.
        before_beat: Called before each beat, in this thread: the metrics are compared then.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        books: Callable[[], Watched],
        clock: Clock,
        before_beat: Callable[[], None] | None = None,
    ) -> None:
        self._sender = sender
        self._books = books
        self._clock = clock
        self._before_beat = before_beat
        self._renew()

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked_to_begin = False
        self._stopping_by_ns: int | None = None
        self._flushes_asked = 0
        self._flushes_done = 0
        self._flushed = False

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def watch(self) -> None:
        """Wait for the first recorded call, then beat. A second time does nothing."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="tokenbeat-heartbeat", daemon=True
                )
                self._thread.start()

    def begin(self) -> None:
        """Beat from now on, also without any call."""
        with self._changed:
            self._asked_to_begin = True
            self._changed.notify_all()
        self.watch()

    def flush(self, *, timeout_s: float) -> bool:
        """Send what is new now, in the sender's thread.

        Args:
            timeout_s: The longest wait: seconds.

        Returns:
            Whether the control plane holds everything that was counted before.
        """
        if not self.running:
            return False
        with self._changed:
            if self._stopping_by_ns is not None:
                return False
            self._flushes_asked += 1
            mine = self._flushes_asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._flushes_done >= mine, timeout_s)
            return self._flushes_done >= mine and self._flushed

    def stop(self, *, timeout_s: float = FINAL_S) -> None:
        """Send the final beat and end the thread; it takes at most ``timeout_s`` seconds."""
        timeout_s = min(timeout_s, FINAL_S)
        with self._changed:
            thread = self._thread
            self._stopping_by_ns = self._clock.monotonic_ns() + int(timeout_s * _NS_PER_S)
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        with self._changed:
            self._thread = None

    def begin_child(self) -> None:
        """In a forked child: a new thread and connection, and beats after its own first call."""
        alive = self._thread is not None and self._stopping_by_ns is None
        self._renew()
        self._sender.begin_child()
        if alive:
            self.watch()

    # In the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        me = threading.current_thread()
        if not self._wait_for_calls():
            return
        while self._is_mine(me):
            flushes = self._flushes_asked
            beaten = self._beat()
            if flushes > self._flushes_done and beaten is not None and beaten.more:
                continue
            self._report(flushes, beaten)
            self._sleep(_AFTER_ERROR_S if beaten is None else beaten.wait_s, since=flushes)
        if self._thread is me:
            self._end()

    def _is_mine(self, me: threading.Thread) -> bool:
        return self._thread is me and self._stopping_by_ns is None

    def _wait_for_calls(self) -> bool:
        """Whether beats are to begin; False where the end came first."""
        while not self._asked_to_begin:
            if self._stopping_by_ns is not None:
                # The only call may have come just before the end.
                return self._books().wait_for_change(0, 0)
            if self._books().wait_for_change(0, _LOOK_FOR_CALLS_S):
                return True
        return True

    def _beat(self, *, final: bool = False, timeout_s: float | None = None) -> Beaten | None:
        with _BEAT:
            if self._before_beat is not None:
                self._before_beat()
            if timeout_s is None:
                return self._sender.beat(final=final)
            return self._sender.beat(final=final, timeout_s=timeout_s)
        return None

    def _report(self, flushes: int, beaten: Beaten | None) -> None:
        with self._changed:
            if flushes > self._flushes_done:
                self._flushes_done = flushes
                self._flushed = beaten is not None and beaten.complete
                self._changed.notify_all()

    def _sleep(self, wait_s: float, *, since: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping_by_ns is not None or self._flushes_asked > since, wait_s
            )

    def _end(self) -> None:
        """The final beat, and what did not fit into it, until the time is up."""
        while True:
            by_ns = self._stopping_by_ns
            left_s = 0 if by_ns is None else (by_ns - self._clock.monotonic_ns()) / _NS_PER_S
            if left_s <= 0:
                return
            beaten = self._beat(final=True, timeout_s=left_s)
            if beaten is None or not beaten.more:
                return
