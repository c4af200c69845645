"""Carries one charged answer to the client, with the delays, pauses and breaks of its script."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tokenbeat.testing.bill import Bill, Ended
    from tokenbeat.testing.connections import Connections, Pauses
    from tokenbeat.testing.reply import Event, Reply, WireFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An ASGI response: sends the reply and keeps the bill's entry up to date.

    What the bill says of an event is said just before the event is sent, so that a client that has
    read an answer finds it on the bill.
    """

    reply: Reply
    wire: WireFormat
    request_id: str
    bill: Bill
    connections: Connections
    pauses: Pauses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; never raises because the client has left."""
        async with _departure(receive) as gone:
            await _let_pass(self.reply.answer.delay_s, unless=gone)
            if self.reply.asked.stream:
                ended = await self._stream(scope, send, gone=gone)
            else:
                ended = await self._whole(scope, receive, send, gone=gone)
            if ended == "client_gone" and self.connections.stopping:
                ended = "cut"
            self.bill.close(self.request_id, ended=ended)
            if ended == "cut":
                self.connections.cut(scope["client"])
                await gone

    async def _whole(
        self, scope: Scope, receive: Receive, send: Send, *, gone: asyncio.Task[None]
    ) -> Ended:
        reply = self.reply
        if reply.answer.pause_after_chunks is not None:
            await self.pauses.hold(until=gone)
        if gone.done():
            return "client_gone"
        if reply.answer.cut_after_chunks is not None:
            return "cut"
        headers = {self.wire.request_id_header: self.request_id}
        failure = reply.answer.fail
        if failure is not None:
            self.bill.close(self.request_id, ended="error")
            error = self.wire.error(failure, request_id=self.request_id)
            headers.update(failure.headers)
            await JSONResponse(error, failure.status, headers)(scope, receive, send)
            return "error"
        if reply.answer.tells_usage:
            self.bill.tell(
                self.request_id,
                input_tokens=reply.usage.input_tokens,
                output_tokens=reply.usage.output_tokens,
                final=True,
            )
        self.bill.close(self.request_id, ended="ok")
        await JSONResponse(self.wire.whole(reply), 200, headers)(scope, receive, send)
        return "ok"

    async def _stream(self, scope: Scope, send: Send, *, gone: asyncio.Task[None]) -> Ended:
        del scope
        if gone.done():
            return "client_gone"
        await send(self._start())
        answer = self.reply.answer
        events = list(self.wire.events(self.reply))
        pieces = 0
        paused = False
        for event in events:
            stands_at_pieces = event.is_piece or event.is_closing
            if (
                stands_at_pieces
                and not paused
                and _reached(answer.pause_after_chunks, pieces, event)
            ):
                paused = True
                await self.pauses.hold(until=gone)
            if event.is_piece:
                await _let_pass(answer.chunk_delay_s, unless=gone)
            if gone.done():
                return "client_gone"
            if stands_at_pieces and _reached(answer.cut_after_chunks, pieces, event):
                return "cut"
            failure = answer.fail
            if (
                failure is not None
                and stands_at_pieces
                and _reached(failure.after_chunks, pieces, event)
            ):
                last = self.wire.error_event(failure, request_id=self.request_id)
                self.bill.close(self.request_id, ended="error")
                await self._send(send, last, more=False)
                return "error"
            pieces += event.is_piece
            is_last = event is events[-1]
            if is_last:
                self.bill.close(self.request_id, ended="ok")
            await self._send(send, event, more=not is_last)
        return "ok"

    def _start(self) -> dict[str, object]:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            self.wire.request_id_header: self.request_id,
        }
        return {
            "type": "http.response.start",
            "status": 200,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

    async def _send(self, send: Send, event: Event, *, more: bool) -> None:
        if event.tells_input_tokens is not None and event.tells_output_tokens is not None:
            self.bill.tell(
                self.request_id,
                input_tokens=event.tells_input_tokens,
                output_tokens=event.tells_output_tokens,
                final=event.tells_final,
            )
        body = {"type": "http.response.body", "body": event.encoded(), "more_body": more}
        await send(body)
        await asyncio.sleep(0)  # other clients' turn; a stream without delays never waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An ASGI response for which nothing is charged, after its delay unless the client leaves."""

    response: ASGIApp
    delay_s: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the error."""
        async with _departure(receive) as gone:
            await _let_pass(self.delay_s, unless=gone)
            if not gone.done():
                await self.response(scope, receive, send)


def _reached(after: int | None, pieces: int, event: Event) -> bool:
    """Whether the stream has come to ``after`` pieces, or to its end if it has fewer."""
    return after is not None and (pieces >= after or event.is_closing)


@contextlib.asynccontextmanager
async def _departure(receive: Receive) -> AsyncGenerator[asyncio.Task[None], None]:
    """A task that is done when the client has left."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.create_task(left())
    try:
        yield gone
    finally:
        gone.cancel()
        await asyncio.wait({gone})


async def _let_pass(seconds: float, *, unless: asyncio.Task[None]) -> None:
    if seconds > 0:
        await asyncio.wait({unless}, timeout=seconds)
