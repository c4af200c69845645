"""Fields that a server refuses, restores and clones."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import pytest

from tests.heartbeat.answering import HOUR_NS, always, scripted


def test_a_server_that_takes_no_size_is_warned_about_and_nothing_is_lost(
    rig: Any, new_receiver: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = new_receiver()
    rig.answers = always(reply(413))
    rig.call(100, 20)
    with caplog.at_level(logging.WARNING):
        rig.beat(20)
    assert "too large" in caplog.text
    rig.answers = receiver.receive
    rig.beat(2)
    assert receiver.total("tokens.input") == 100


def test_a_cell_that_grew_too_much_climbs_while_the_rest_goes_on(
    rig: Any, new_receiver: Any
) -> None:
    receiver = new_receiver(largest_increase=1_000)
    rig.answers = receiver.receive
    rig.call(900, 1)
    rig.beat()
    rig.call(3_500, 1)
    rig.call(7, 7, caller="writer")
    for _ in range(20):
        if rig.beat() > 5:
            break
    assert receiver.total("tokens.input") == receiver.bucket_total("tokens.input") == 4_407
    revisions = [message["tokenbeat"]["revision"] for message in rig.transport.messages]
    assert revisions == sorted(revisions) or revisions[-1] == rig.ledger.revision
    assert rig.sender.heartbeat_figures().undelivered_tokens == 0


def test_a_refused_cell_is_held_back_and_tried_again_after_an_hour(
    rig: Any, receiver: Any, reply: Any
) -> None:
    def refusing(body: bytes) -> Any:
        for j, cell in enumerate(json.loads(body)["tokenbeat"]["cuts"][-1]["cells"]):
            if cell["caller"].endswith("bad"):
                field = f"tokenbeat.cuts[0].cells[{j}].caller"
                return reply(422, {"field": field, "detail": "no such caller"})
        return receiver.receive(body)

    rig.answers = refusing
    rig.call(1, 0, caller="bad")
    rig.call(100, 0)
    rig.beat(2)
    assert receiver.total("tokens.input") == 100
    assert rig.last["tokenbeat"]["revision"] < rig.ledger.snapshot().cells[0].changed
    rig.call(10, 0, caller="writer")
    rig.beat(2)
    assert receiver.total("tokens.input") == 110
    rig.answers = receiver.receive
    rig.clock.advance(HOUR_NS)
    rig.beat()
    assert receiver.total("tokens.input") == 111


@pytest.mark.parametrize(
    ("field", "left"),
    [
        ("health.status", "health/status = ready"),
        ("usage.models[0].modelId", "usage/models = []"),
        ("tokenbeat.runs[0].user", "tokenbeat/runs = []"),
        ("tokenbeat.runs[0].cells[0].caller", "tokenbeat/runs/0/cells = []"),
    ],
)
def test_what_a_422_names_is_left_out(
    rig: Any, receiver: Any, reply: Any, field: str, left: str
) -> None:
    rig.health = lambda: {"status": "mine"}
    rig.answers = scripted(reply(422, {"field": field}), then=receiver.receive)
    rig.call(100, 0, run="r")
    assert rig.beat() < 5
    rig.beat()
    found: Any = rig.last
    path, _, value = left.partition(" = ")
    for step in path.split("/"):
        found = found[int(step) if step.isdigit() else step]
    assert str(found) == value
    assert receiver.total("tokens.input") == 100


def test_a_422_of_fastapi_is_understood(rig: Any, receiver: Any, reply: Any) -> None:
    detail = [{"loc": ["body", "tokenbeat", "runs", 0, "user"], "msg": "no", "type": "x"}]
    rig.answers = scripted(reply(422, {"detail": detail}), then=receiver.receive)
    rig.call(100, 0, run="r")
    rig.beat(2)
    assert rig.last["tokenbeat"]["runs"] == []


def test_a_422_about_nothing_that_can_be_left_out_waits(
    rig: Any, receiver: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.answers = always(reply(422, {"field": "tokenbeat.service.name", "detail": "no"}))
    rig.call(100, 0)
    with caplog.at_level(logging.WARNING):
        waits_s = [rig.beat() for _ in range(6)]
    assert waits_s[-1] > 10
    assert len(caplog.records) == 1
    rig.answers = receiver.receive
    rig.beat()
    assert receiver.total("tokens.input") == 100


def test_three_errors_in_a_row_put_the_users_health_aside(rig: Any, reply: Any) -> None:
    rig.health = lambda: {"status": "mine"}
    rig.answers = always(reply(500))
    rig.beat(4)
    statuses = [message["health"]["status"] for message in rig.transport.messages]
    assert statuses == ["mine", "mine", "mine", "ready"]


def test_a_server_that_lost_everything_gets_everything(rig: Any, receiver: Any) -> None:
    rig.call(100, 0)
    rig.beat()
    rig.call(50, 0, caller="writer")
    rig.beat()
    receiver.state.clear()
    rig.beat(2)
    assert receiver.total("tokens.input") == 150
    assert receiver.state["a" * 16]["revision"] == rig.ledger.revision


def test_two_processes_from_one_image_are_told_apart_and_all_is_counted_once(
    rig: Any, new_rig: Any, receiver: Any
) -> None:
    rig.call(100, 0, run="r")
    rig.beat()
    # A restored image: equal books, and the same memory of what was sent and acknowledged.
    twin = new_rig(clock=rig.clock)
    twin.call(100, 0, run="r")
    in_rig = rig.sender.delivery
    rig.transport.answer, twin.transport.answer = (receiver.receive,) * 2
    twin.sender = rig.new_sender()
    twin.sender._books = lambda: twin.ledger
    twin.sender._delivery._account = copy.deepcopy(in_rig.account)
    twin.sender._identity = rig.sender._identity
    rig.call(10, 0, run="r")
    rig.beat()
    twin.call(7, 0, run="r")
    twin.beat(2)
    assert len(receiver.state) == 2
    assert receiver.total("tokens.input") == receiver.run_total("tokens.input") == 117
    twin.call(1, 0, run="r")
    twin.beat()
    rig.beat()
    assert receiver.total("tokens.input") == receiver.run_total("tokens.input") == 118
    assert len(receiver.state) == 2


def test_a_409_that_is_no_clone_changes_no_identity(rig: Any, reply: Any) -> None:
    rig.answers = always(reply(409, {"type": "about:blank"}))
    rig.beat(2)
    assert {message["tokenbeat"]["incarnation"] for message in rig.transport.messages} == {"a" * 16}
