"""Control planes of AgentSpec, and keys that end."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tests.heartbeat.answering import HOUR_NS, always, scripted

if TYPE_CHECKING:
    import pytest


class AgentSpecServer:
    """What AgentSpec's control plane does with a beat: it stores ``usage`` and adds it up."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.tokens = 0
        self.windows: list[dict[str, Any]] = []

    def receive(self, body: bytes) -> Any:
        message = json.loads(body)
        self.windows.append(message["usage"])
        self.tokens += message["usage"]["totalTokens"]
        return self.reply(204)


def test_agentspec_gets_windows_and_no_cells_but_in_a_probe(rig: Any, reply: Any) -> None:
    server = AgentSpecServer(reply)
    rig.answers = server.receive
    for tokens in (100, 50, 25):
        rig.call(tokens, 0)
        rig.beat()
    assert server.tokens == 175
    assert ["tokenbeat" in message for message in rig.transport.messages] == [True, False, False]
    rig.clock.advance(HOUR_NS)
    rig.beat()
    assert "tokenbeat" in rig.last
    assert server.tokens == 175
    starts = [window["windowStartedAt"] for window in server.windows]
    assert len(set(starts)) == 4


def test_agentspec_gets_all_over_429_and_500(rig: Any, reply: Any) -> None:
    server = AgentSpecServer(reply)
    rig.answers = scripted(
        reply(204), reply(429), reply(429), reply(500), "timeout", then=server.receive
    )
    rig.beat()
    for _ in range(4):
        rig.call(100, 0)
        rig.beat()
    rig.beat()
    assert server.tokens == 400
    assert len(server.windows) == 1


def test_a_control_plane_of_ours_takes_over_from_agentspec(
    rig: Any, reply: Any, new_receiver: Any
) -> None:
    rig.answers = always(reply(204))
    rig.call(100, 0)
    rig.beat(2)
    receiver = new_receiver()

    def by_header(body: bytes) -> Any:
        if b'"tokenbeat":' in body:
            return receiver.receive(body)
        assert rig.transport.headers[-1]["Tokenbeat-Incarnation"] == "a" * 16
        return reply(200, {"revision": 0})

    rig.answers = by_header
    assert rig.beat() < 5, "the cells follow at once"
    rig.beat()
    assert receiver.total("tokens.input") == 100


def test_a_stray_204_does_not_turn_our_control_plane_into_agentspecs(
    rig: Any, reply: Any, receiver: Any
) -> None:
    rig.beat()
    rig.answers = always(reply(204))
    rig.call(100, 0)
    rig.beat(3)
    assert all("tokenbeat" in message for message in rig.transport.messages)
    rig.answers = receiver.receive
    rig.beat()
    assert receiver.total("tokens.input") == 100


def test_a_refused_key_is_not_sent_again_and_a_new_one_is(
    rig: Any, reply: Any, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.answers = always(reply(401))
    rig.call(100, 0)
    with caplog.at_level(logging.WARNING):
        rig.beat(5)
    assert rig.transport.keys == ["key-1"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "key-1" not in caplog.text
    rig.call(50, 0)
    rig.key = "key-2"
    rig.answers = receiver.receive
    rig.beat()
    assert rig.transport.keys == ["key-1", "key-2"]
    assert receiver.total("tokens.input") == 150


def test_a_key_that_was_changed_meanwhile_is_used_at_once(rig: Any, reply: Any) -> None:
    rig.beat()
    rig.key = "key-2"
    rig.answers = scripted(reply(401), then=always(reply(200, {"revision": 0})))
    assert rig.beat() < 1
    rig.beat()
    assert rig.transport.keys == ["key-1", "key-1", "key-2"]


def test_a_refused_key_is_tried_again_after_an_hour(rig: Any, reply: Any) -> None:
    rig.answers = always(reply(401))
    rig.beat()
    rig.clock.advance(HOUR_NS)
    rig.beat(3)
    assert rig.transport.keys == ["key-1", "key-1"]
