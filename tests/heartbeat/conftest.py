"""Golden messages, books to send from, and a receiver that was written without looking at ours."""

from __future__ import annotations

import copy
import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tokenbeat.clock import SYSTEM_CLOCK, ManualClock
from tokenbeat.heartbeat.answers import Reply
from tokenbeat.heartbeat.errors import NoAnswer
from tokenbeat.heartbeat.identity import Identity
from tokenbeat.heartbeat.keys import Keys
from tokenbeat.heartbeat.sender import Sender
from tokenbeat.heartbeat.values import Service
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.process import new_incarnation, replace_books
from tokenbeat.usage.caller import Caller, CallerStep
from tokenbeat.usage.tokens import TokenUsage

GOLDEN = Path(__file__).parent / "golden"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each golden file: ``valid_message`` or ``invalid_message`` asks for them."""
    for fixture, folder in (("valid_message", "valid"), ("invalid_message", "invalid")):
        if fixture in metafunc.fixturenames:
            paths = sorted((GOLDEN / folder).glob("*.json"))
            messages: list[Any] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
            metafunc.parametrize(fixture, messages, ids=[path.stem for path in paths])


class ReferenceReceiver:
    """Another receiver of heartbeats, from the protocol's text alone: merges by maximum."""

    def __init__(self, *, largest_increase: int | None = None) -> None:
        self.largest_increase = largest_increase
        self.state: dict[str, Any] = dict[str, Any]()
        self.backups: list[dict[str, Any]] = []

    def receive(self, body: bytes) -> Reply:  # noqa: C901 the protocol in one place
        beat: dict[str, Any] = json.loads(body)["tokenbeat"]
        new: dict[str, Any] = {"revision": 0, "nonce": None, "cells": {}, "buckets": {}, "runs": {}}
        old: dict[str, Any] = self.state.get(beat["incarnation"], new)
        named = [*beat.get("nonces", ()), beat.get("nonce")]
        in_chain = "nonce" in beat and beat["base"] <= old["revision"]
        if in_chain and old["nonce"] is not None and old["nonce"] not in named:
            return problem(409, type="https://example.com/clone")
        mine = copy.deepcopy(old)
        for i, cut in enumerate(beat["cuts"]):
            ends = i < len(beat["cuts"]) - 1
            for j, cell in enumerate(cut["cells"]):
                kept = mine["cells"].setdefault(cell_id(cell), defaultdict(int))
                at = (cut["at"], ends, cell_id(cell))
                bucket = mine["buckets"].setdefault(at, defaultdict(int))
                for name, value in leaves(cell):
                    limit = self.largest_increase
                    known = old["cells"].get(cell_id(cell), {}).get(name, 0)
                    if limit is not None and value > known + limit:
                        path = f"tokenbeat.cuts[{i}].cells[{j}].{name}"
                        return problem(422, field=path, largest=known + limit)
                    bucket[name] += max(value - kept[name], 0)
                    kept[name] = max(kept[name], value)
        for run in beat["runs"]:
            run_id = (run["run"], run["part"])
            mine["runs"].setdefault(run_id, {"cells": {}})["status"] = run["status"]
            for cell in run["cells"]:
                kept = mine["runs"][run_id]["cells"].setdefault(cell_id(cell), defaultdict(int))
                for name, value in leaves(cell):
                    kept[name] = max(kept[name], value)
        answer: dict[str, object] = {}
        if beat["base"] <= mine["revision"]:
            mine["revision"] = max(mine["revision"], beat["revision"])
            mine["nonce"] = beat.get("nonce", mine["nonce"])
        elif mine["nonce"] is not None:
            answer["nonce"] = mine["nonce"]
        self.state[beat["incarnation"]] = mine
        answer |= {"revision": mine["revision"], "nextHeartbeatMs": 30_000}
        return Reply(status=200, content_type="application/json", body=json.dumps(answer).encode())

    def back_up(self) -> None:
        self.backups.append(copy.deepcopy(self.state))

    def restore(self) -> None:
        self.state = copy.deepcopy(self.backups[-1]) if self.backups else {}

    def total(self, name: str) -> int:
        """The sum of one count, such as ``tokens.input``, over everything."""
        cells = [cell for one in self.state.values() for cell in one["cells"].values()]
        return sum(cell[name] for cell in cells)

    def bucket_total(self, name: str) -> int:
        """The same from the time buckets."""
        buckets = [one for all_ in self.state.values() for one in all_["buckets"].values()]
        return sum(bucket[name] for bucket in buckets)

    def run_total(self, name: str) -> int:
        """The same from the runs."""
        runs = [run for one in self.state.values() for run in one["runs"].values()]
        return sum(cell[name] for run in runs for cell in run["cells"].values())


def problem(status: int, **fields: object) -> Reply:
    body = json.dumps({"status": status, **fields}).encode()
    return Reply(status=status, content_type="application/problem+json", body=body)


def cell_id(cell: Mapping[str, Any]) -> str:
    names = ("operation", "provider", "requestModel", "responseModel", "agent", "caller")
    return json.dumps([cell.get(name) for name in names])


def leaves(cell: Mapping[str, Any]) -> list[tuple[str, int]]:
    groups = [(g, n, v) for g in ("calls", "tokens") for n, v in cell.get(g, {}).items()]
    return [
        *[(f"{group}.{name}", value) for group, name, value in groups],
        ("failedAttempts", cell.get("failedAttempts", 0)),
    ]


class ScriptedTransport:
    """Carries bodies into a function; what was sent is kept."""

    def __init__(self, answer: Callable[[bytes], Reply | str]) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self.keys: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.renewed = 0

    def post(
        self, body: bytes, *, headers: Mapping[str, str], key: str | None, timeout_s: float
    ) -> Reply:
        assert 0 < timeout_s <= 10
        self.bodies.append(body)
        self.keys.append(key)
        self.headers.append(dict(headers))
        answer = self.answer(body)
        if isinstance(answer, str):
            raise NoAnswer(kind="connect" if answer == "connect" else "timeout", detail=answer)
        return answer

    def renew(self) -> None:
        self.renewed += 1

    def close(self) -> None:
        """Nothing is open."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@dataclass
class Rig:
    """A ledger on a manual clock, and a sender for it."""

    clock: ManualClock = field(default_factory=ManualClock)
    ids: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.ledger = Ledger(incarnation="a" * 16, clock=self.clock)
        self.ledger.acknowledging = True
        self.answers: Callable[[bytes], Reply | str] = ReferenceReceiver().receive
        self.transport = ScriptedTransport(self._answer)
        self.key: str | None = "key-1"
        self.health: Callable[[], Mapping[str, object] | None] | None = None
        self.sender = self.new_sender()

    def _answer(self, body: bytes) -> Reply | str:
        return self.answers(body)

    def new_sender(
        self, *, disk: Any = None, interval_ms: int = 30_000, kind: Any = "process"
    ) -> Sender:
        identity = Identity(
            service=Service(name="research", started_ns=0),
            sender=kind,
            url="http://127.0.0.1/api/v1/heartbeat",
            new_nonce=lambda: f"n{next(self.ids)}",
            new_incarnation=lambda: "b" * 15 + "abcdefgh"[next(self.ids) % 8],
        )
        return Sender(
            identity,
            books=lambda: self.ledger,
            clock=self.clock,
            transport=self.transport,
            keys=Keys(lambda: self.key),
            chance=lambda: 0.5,
            interval_ms=interval_ms,
            errors=lambda: 0,
            health=lambda: None if self.health is None else self.health(),
            **({} if disk is None else {"disk": lambda: disk}),
        )

    def call(self, *tokens: int, **facts: Any) -> None:
        """One finished call."""
        enter_call(self.ledger, *tokens, **facts)

    def beat(self, times: int = 1) -> float:
        """Some beats, 30 s apart; the last one's wait."""
        wait_s = 0.0
        for _ in range(times):
            wait_s = self.sender.beat().wait_s
            self.clock.advance(30_000_000_000)
        return wait_s

    @property
    def last(self) -> dict[str, Any]:
        """The last message."""
        return self.transport.messages[-1]


Action = Callable[["Handler"], None]


class QuietServer(ThreadingHTTPServer):
    """Broken connections are what the tests are about: nothing to print."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silence."""


class ScriptedServer:
    """A control plane on real sockets that does what the test says, request by request."""

    def __init__(self) -> None:
        self.script: list[Action] = []
        self.otherwise: Action = lambda handler: handler.answer_as(self.receiver)
        self.receiver = ReferenceReceiver()
        self.requests: list[Request] = []
        self.ports: set[int] = set()
        self.closing = threading.Event()
        self.answered = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.arrived = threading.Condition()
        server = self

        class ThisHandler(Handler):
            owner = server

        self.http = QuietServer(("127.0.0.1", 0), ThisHandler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer_always(self, status: int, body: object = None, **headers: str) -> None:
        """From now on every request gets this answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.otherwise = lambda handler: handler.answer(status, body, headers=named)

    def answer_next(self, status: int, body: object = None, **headers: str) -> None:
        """The next unscripted request gets this answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(lambda handler: handler.answer(status, body, headers=named))

    def answer_well(self) -> None:
        """From now on it is a control plane."""
        self.otherwise = lambda handler: handler.answer_as(self.receiver)

    @staticmethod
    def reset(handler: Handler) -> None:
        """An action: the connection breaks after the request was read."""
        handler.reset()

    def wait_before_answering(self, until: threading.Event) -> None:
        """From now on every answer waits for an event (at most 20 s)."""

        def late(handler: Handler) -> None:
            until.wait(20)
            handler.answer_as(self.receiver)

        self.otherwise = late

    def trickle(self) -> None:
        """From now on an answer comes byte by byte, each in time."""

        def slowly(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "10000")
            handler.end_headers()
            for _ in range(200):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                if self.closing.wait(0.05):
                    return

        self.otherwise = slowly

    def wait_for(self, requests: int, *, timeout_s: float = 10.0) -> None:
        """Until that many requests were answered."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.answered >= requests, timeout_s)

    def close(self) -> None:
        if self.closing.is_set():
            return
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message


class Handler(BaseHTTPRequestHandler):
    """One connection of a `ScriptedServer`."""

    protocol_version = "HTTP/1.1"
    owner: ScriptedServer
    request_body: bytes

    def do_POST(self) -> None:
        owner = self.owner
        with owner.arrived:
            owner.in_flight += 1
            owner.ports.add(self.client_address[1])
            owner.most_in_flight = max(owner.most_in_flight, owner.in_flight)
            action = owner.script.pop(0) if owner.script else owner.otherwise
        try:
            self.request_body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = dict(self.headers.items())
            owner.requests.append(Request(self.path, headers, self.request_body))
            action(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with owner.arrived:
                owner.in_flight -= 1
                owner.answered += 1
                owner.arrived.notify_all()

    def answer(
        self, status: int, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        content = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        self.send_response(status)
        sent = {"Content-Type": "application/json", **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer_as(self, receiver: ReferenceReceiver) -> None:
        reply = receiver.receive(self.request_body)
        self.answer(reply.status, reply.body, headers={"Content-Type": reply.content_type})

    def reset(self) -> None:
        """The connection breaks, without an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Silence."""


@pytest.fixture
def process_books() -> Iterator[Ledger]:
    """The ledger that entry points find, fresh for this test."""
    ledger = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK)
    ledger.expect_sender(True)
    before = replace_books(ledger)
    yield ledger
    replace_books(before)


@pytest.fixture
def call() -> Callable[..., None]:
    """``call(ledger, 100, 20)``: one finished call, as an instrumentor reports it."""
    return enter_call


def enter_call(  # noqa: PLR0913 the facts of a call
    ledger: Ledger, input_tokens: int = 100, output_tokens: int = 20, *,
    model: str = "gpt-4o", caller: str = "researcher", run: str | None = None,
) -> None:  # fmt: skip
    path = Caller((CallerStep("lead_agent", "lead_agent"), CallerStep("subagent", caller)))
    opened = None if run is None else ledger.open_run(run_id=run)
    report = ledger.start(
        source="test", operation="chat", provider="openai", request_model=model,
        caller=path, run=opened,
    )  # fmt: skip
    usage = TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens)
    ledger.end(report, outcome="ok", usage=usage, response_model=model)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A control plane on loopback."""
    started = ScriptedServer()
    yield started
    started.close()


@pytest.fixture
def rig() -> Rig:
    """A ledger and a sender; ``rig.answers`` can be replaced."""
    return Rig()


@pytest.fixture
def new_rig() -> type[Rig]:
    """The same, to be made many times in one test."""
    return Rig


@pytest.fixture
def new_receiver() -> type[ReferenceReceiver]:
    """A receiver that was written from the protocol's text."""
    return ReferenceReceiver


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """``reply(500)``, ``reply(200, {"revision": 3})``, ``reply(429, retry_after="7")``."""

    def make(status: int, body: object = None, *, retry_after: str | None = None) -> Reply:
        if isinstance(body, str):
            return Reply(status=status, content_type="text/html", body=body.encode())
        content = b"" if body is None else json.dumps(body).encode()
        return Reply(
            status=status,
            content_type="application/json",
            retry_after=retry_after,
            body=content,
        )

    return make


@pytest.fixture
def receiver(rig: Any, new_receiver: Any) -> Any:
    """An independent receiver that answers the rig's beats."""
    made = new_receiver()
    rig.answers = made.receive
    return made
