"""The model server's HTTP interface: the providers' endpoints, and the bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokenbeat.testing.answer import Answer, Failure
from tokenbeat.testing.anthropic_messages import AnthropicMessages
from tokenbeat.testing.asked import Asked, text_for, usage_for
from tokenbeat.testing.bill import Bill, BillEntry, RefusedRequest
from tokenbeat.testing.delivery import Delivery, Refusal
from tokenbeat.testing.errors import MalformedModelRequest
from tokenbeat.testing.openai_chat import OpenAIChat
from tokenbeat.testing.openai_completions import OpenAICompletions
from tokenbeat.testing.openai_embeddings import OpenAIEmbeddings
from tokenbeat.testing.openai_responses import OpenAIResponses
from tokenbeat.testing.openai_wire import openai_error
from tokenbeat.testing.reply import Reply, WireFormat
from tokenbeat.testing.request_body import Json, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from tokenbeat.testing.connections import Connections, Pauses
    from tokenbeat.testing.ids import Ids
    from tokenbeat.testing.script import Player
    from tokenbeat.testing.stored import StoredResponses


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Takes requests, charges them and hands over their answers."""

    player: Player
    bill: Bill
    ids: Ids
    connections: Connections
    pauses: Pauses
    stored: StoredResponses
    now_s: Callable[[], float]
    """Wall clock, seconds since 1970."""

    async def serve(self, request: Request, *, wire: WireFormat) -> ASGIApp:
        """The response to one request of a provider's API."""
        request_id = self.ids.draw("req_")
        try:
            body = parse(await request.body())
            asked = wire.read(body, headers=request.headers)
        except MalformedModelRequest as error:
            malformed = Failure(status=400, message=str(error))
            return self._refuse(wire, failure=malformed, request_id=request_id)
        chosen = self.player.choose(asked)
        label = asked.tag or chosen.label or asked.user
        failure = chosen.answer.fail
        if failure is not None and failure.after_chunks is None:
            response = self._refuse(
                wire, failure=failure, request_id=request_id, asked=asked, label=label
            )
            return Refusal(response=response, delay_s=chosen.answer.delay_s)
        reply = self._reply(body, asked=asked, answer=chosen.answer, wire=wire)
        entry = _entry(reply, request_id=request_id, label=label, reported=wire.reported(reply))
        self.bill.charge(entry)
        if asked.api == "openai.responses":
            self.stored.keep(reply.response_id, body=wire.whole(reply))
        return Delivery(
            reply=reply,
            wire=wire,
            request_id=request_id,
            bill=self.bill,
            connections=self.connections,
            pauses=self.pauses,
        )

    def _refuse(
        self,
        wire: WireFormat,
        *,
        failure: Failure,
        request_id: str,
        asked: Asked | None = None,
        label: str | None = None,
    ) -> ASGIApp:
        self.bill.refuse(
            RefusedRequest(
                request_id=request_id,
                api=wire.api,
                label=label,
                request_model=asked.model if asked else None,
                stream=asked.stream if asked else False,
                status=failure.status,
            )
        )
        headers = {wire.request_id_header: request_id, **failure.headers}
        return JSONResponse(wire.error(failure, request_id=request_id), failure.status, headers)

    def _reply(self, body: Json, *, asked: Asked, answer: Answer, wire: WireFormat) -> Reply:
        calls = len(answer.tool_calls) * asked.choices
        return Reply(
            asked=asked,
            body=body,
            answer=answer,
            text=text_for(asked, answer=answer),
            usage=usage_for(asked, answer=answer),
            model=answer.model or asked.model,
            response_id=answer.response_id or self.ids.draw(wire.id_prefix),
            call_ids=tuple(self.ids.draw(wire.call_id_prefix, length=24) for _ in range(calls)),
            created_s=int(self.now_s()),
            ids=self.ids,
        )


def _entry(reply: Reply, *, request_id: str, label: str | None, reported: Json) -> BillEntry:
    return BillEntry(
        request_id=request_id,
        response_id=reply.response_id,
        api=reply.asked.api,
        operation=reply.asked.operation,
        label=label,
        request_model=reply.asked.model,
        response_model=reply.model,
        stream=reply.asked.stream,
        items=reply.asked.items,
        choices=reply.asked.choices,
        asked_for_usage=reply.asked.include_usage,
        usage=reply.usage,
        reported=reported,
    )


def create_app(desk: Desk) -> Starlette:
    """The ASGI application: nothing of it outlives the desk."""
    apis: dict[str, WireFormat] = {
        "/v1/chat/completions": OpenAIChat(),
        "/v1/responses": OpenAIResponses(),
        "/v1/completions": OpenAICompletions(),
        "/v1/embeddings": OpenAIEmbeddings(),
        "/v1/messages": AnthropicMessages(),
    }

    async def show_bill(request: Request) -> JSONResponse:
        taken = desk.bill.clear() if request.method == "DELETE" else desk.bill.snapshot()
        return JSONResponse(taken.as_json())

    async def fetch_response(request: Request) -> JSONResponse:
        body = desk.stored.get(request.path_params["response_id"])
        if body is None:
            unknown = Failure(status=404, message="No response has this id.")
            return JSONResponse(openai_error(unknown, request_id=""), unknown.status)
        return JSONResponse(body)

    routes = [
        Route(path, _endpoint(desk, wire=wire), methods=["POST"]) for path, wire in apis.items()
    ]
    routes.append(Route("/v1/responses/{response_id}", fetch_response, methods=["GET"]))
    routes.append(Route("/bill", show_bill, methods=["GET", "DELETE"]))
    return Starlette(routes=routes)


def _endpoint(desk: Desk, *, wire: WireFormat) -> Callable[[Request], Awaitable[ASGIApp]]:
    async def endpoint(request: Request) -> ASGIApp:
        return await desk.serve(request, wire=wire)

    return endpoint
