"""Frames for all who watch: built once for each revision, however many they are."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokenbeat.control_plane.live.errors import TooManyStreams
from tokenbeat.control_plane.report.repository import ReportRepository
from tokenbeat.control_plane.report.service import BY_SERVICE, Page, ReportService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from tokenbeat.control_plane.plane import Plane

MOST_STREAMS: Final = 256
"""Streams that one server keeps open."""
RETRY_AFTER_S: Final = 5
SERVICES_IN_FRAME: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a stream speaks (seconds)."""

    frame_s: float = 0.25
    """At least this long between two frames: at most four a second, the last state always comes."""
    look_s: float = 5.0
    """After this long without news: look whether another process of the server committed some,
    and whether the reader is still there."""
    comment_s: float = 15.0
    """After this long without a frame: a comment, so that a dead connection shows on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event, ready to send."""

    revision: int
    body: bytes


class Feed:
    """The frames of one server's tenants.

    Args:
        plane: Where changes are announced and reports are read.
        pace: How often a stream speaks.
        most_streams: How many may watch at a time.
    """

    def __init__(
        self, plane: Plane, *, pace: Pace | None = None, most_streams: int = MOST_STREAMS
    ) -> None:
        self._plane = plane
        self._pace = pace or Pace()
        self._most_streams = most_streams
        self._streams = 0
        self._frames: dict[str, Frame] = {}
        self._looked_ns = 0
        self._building = asyncio.Lock()

    @property
    def streams(self) -> int:
        """How many watch now."""
        return self._streams

    @contextmanager
    def admit(self) -> Generator[None]:
        """A place for one stream while the block runs.

        Raises:
            TooManyStreams: None is free.
        """
        if self._streams >= self._most_streams:
            raise TooManyStreams(most=self._most_streams, retry_after_s=RETRY_AFTER_S)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def frames(
        self,
        tenant: str,
        *,
        seen: int | None,
        gone: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[bytes]:
        """What a stream sends: the present state unless it was seen, then each newer one.

        Args:
            tenant: Whose data.
            seen: The revision that the reader already has; None where it has none.
            gone: Whether the reader has hung up.
        """
        yield b"retry: 1000\n\n"
        clock = self._plane.clock
        await self._look(tenant)
        sent = -1 if seen is None else seen
        if sent != self._plane.changes.revision(tenant):
            frame = await self._frame(tenant)
            sent = frame.revision
            yield frame.body
        spoken_ns = clock.monotonic_ns()
        while True:
            # Python 3.10's timeout is not TimeoutError but asyncio's own.
            try:
                revision = await asyncio.wait_for(
                    self._plane.changes.wait(tenant, after=sent), self._pace.look_s
                )
            except asyncio.TimeoutError:
                if await gone():
                    return
                await self._look(tenant)
                if clock.monotonic_ns() - spoken_ns >= self._pace.comment_s * 1e9:
                    spoken_ns = clock.monotonic_ns()
                    yield b": still here\n\n"
                continue
            if revision is None:
                return  # the server stops
            frame = await self._frame(tenant)
            sent = frame.revision
            yield frame.body
            spoken_ns = clock.monotonic_ns()
            await asyncio.sleep(self._pace.frame_s)

    async def _frame(self, tenant: str) -> Frame:
        """The frame of the newest revision; who comes while it is built waits for the same one."""
        async with self._building:
            newest = self._plane.changes.revision(tenant)
            known = self._frames.get(tenant)
            if known is not None and known.revision >= newest:
                return known
            async with self._plane.database.read() as session:
                service = ReportService(
                    ReportRepository(session, tenant=tenant), now=self._plane.now()
                )
                report = await service.usage(BY_SERVICE, page=Page(limit=SERVICES_IN_FRAME))
            text = json.dumps(report, separators=(",", ":"), ensure_ascii=False)
            revision = int(report["revision"])
            body = f"id: {revision}\nevent: usage\ndata: {text}\n\n".encode()
            frame = Frame(revision=revision, body=body)
            self._frames[tenant] = frame
            return frame

    async def _look(self, tenant: str) -> None:
        """Announce what other processes committed to the same database."""
        now_ns = self._plane.clock.monotonic_ns()
        if now_ns - self._looked_ns < self._pace.look_s * 0.5e9 and self._looked_ns:
            return
        self._looked_ns = now_ns
        async with self._plane.database.read() as session:
            revision = await ReportRepository(session, tenant=tenant).revision()
        self._plane.changes.announce(tenant, revision=revision)
