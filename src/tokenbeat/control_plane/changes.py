"""Tells whoever waits that a report would now show something new."""

from __future__ import annotations

import asyncio


class Changes:
    """Revisions of the tenants' data, announced after each commit. For one event loop.

    Waiters are told the newest revision, never each: who is slow misses nothing but steps.
    """

    def __init__(self) -> None:
        self._revisions: dict[str, int] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._closed = False

    def revision(self, tenant: str) -> int:
        """The newest revision that was announced here; 0 before the first."""
        return self._revisions.get(tenant, 0)

    def announce(self, tenant: str, *, revision: int) -> None:
        """Say that ``revision`` is committed. An older one is no news."""
        if revision <= self.revision(tenant):
            return
        self._revisions[tenant] = revision
        waiting = self._changed.pop(tenant, None)
        if waiting is not None:
            waiting.set()

    async def wait(self, tenant: str, *, after: int) -> int | None:
        """Return as soon as a revision greater than ``after`` is committed, with that revision.

        Returns:
            The newest revision, or None when the server stops.
        """
        while not self._closed:
            if self.revision(tenant) > after:
                return self.revision(tenant)
            await self._changed.setdefault(tenant, asyncio.Event()).wait()
        return None

    def close(self) -> None:
        """The server stops: every waiter returns."""
        self._closed = True
        for waiting in self._changed.values():
            waiting.set()
        self._changed.clear()
