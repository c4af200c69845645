"""Every answer that a control plane, a proxy or the network can give, on a clock that is still."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.heartbeat.answering import always, scripted
from tokenbeat.heartbeat.limits import MESSAGE_BYTES
from tokenbeat.heartbeat.message import parse_heartbeat
from tokenbeat.usage.counts import INPUT


def test_a_beat_says_what_the_ledger_holds(rig: Any, receiver: Any) -> None:
    rig.call(100, 20, run="run-1")
    rig.call(50, 5, caller="writer", run="run-1")
    rig.beat()
    message = rig.last
    beat = parse_heartbeat(message).beat
    assert beat is not None
    assert (beat.base, beat.revision) == (0, rig.ledger.revision)
    assert [cell.key.caller for cell in beat.cuts[-1].cells] == [
        "lead_agent/subagent:researcher",
        "lead_agent/subagent:writer",
    ]
    assert [run.run_id for run in beat.runs] == ["run-1"]
    assert beat.books.undelivered == 175
    assert message["usage"]["totalTokens"] == 175
    assert message["health"]["status"] == "ready"
    assert rig.transport.headers[-1] == {"Tokenbeat-Incarnation": "a" * 16}
    assert receiver.total("tokens.input") == 150


def test_what_was_acknowledged_is_not_sent_again(rig: Any, receiver: Any) -> None:
    rig.call(100, 20, run="r")
    rig.beat()
    rig.call(7, 1, caller="writer", run="r")
    rig.beat()
    beat = rig.last["tokenbeat"]
    assert [cell["caller"] for cell in beat["cuts"][-1]["cells"]] == ["lead_agent/subagent:writer"]
    assert [cell["caller"] for cell in beat["runs"][0]["cells"]] == ["lead_agent/subagent:writer"]
    rig.beat()
    beat = rig.last["tokenbeat"]
    assert beat["cuts"][-1]["cells"] == []
    assert beat["base"] == beat["revision"] == rig.ledger.revision


def test_minutes_are_told_apart_after_an_outage(rig: Any, receiver: Any) -> None:
    rig.answers = always("timeout")
    for _ in range(5):
        rig.call(100, 20)
        rig.beat(2)
    rig.answers = receiver.receive
    rig.beat()
    buckets = receiver.state["a" * 16]["buckets"]
    rises = [bucket["tokens.input"] for bucket in buckets.values() if bucket["tokens.input"]]
    assert rises == [100] * 5
    rig.call(1, 1)
    rig.beat()
    assert len(rig.last["tokenbeat"]["cuts"]) <= 2, "old cuts say nothing new"


@pytest.mark.parametrize(
    "failure",
    [
        "timeout", "connect", "500", "502", "504", "429", "503", "400", "403", "404", "301", "302",
        "200 html", "200 without revision", "201", "204",
    ],
)  # fmt: skip
def test_nothing_is_lost_or_doubled_over_failures(
    rig: Any, receiver: Any, reply: Any, failure: str
) -> None:
    answer = {
        "200 html": reply(200, "<html>"),
        "200 without revision": reply(200, {"ok": True}),
    }.get(failure) or (reply(int(failure)) if failure.isdigit() else failure)
    rig.call(100, 20)
    rig.beat()
    rig.answers = scripted(*[answer] * 3, then=receiver.receive)
    for _ in range(3):
        rig.call(100, 20)
        rig.beat()
    assert receiver.total("tokens.input") == 100
    rig.beat()
    assert receiver.total("tokens.input") == receiver.bucket_total("tokens.input") == 400
    assert rig.sender.heartbeat_figures().undelivered_tokens == 0


def test_a_commit_whose_answer_was_lost_counts_once(rig: Any, receiver: Any) -> None:
    rig.call(100, 20)

    def lost_answer(body: bytes) -> str:
        receiver.receive(body)
        return "timeout"

    rig.answers = lost_answer
    rig.beat()
    rig.answers = receiver.receive
    rig.beat()
    assert receiver.total("tokens.input") == 100
    assert set(receiver.state) == {"a" * 16}


def test_calls_during_a_request_appear_once_in_the_next_window(rig: Any, receiver: Any) -> None:
    def call_meanwhile(body: bytes) -> Any:
        rig.call(30, 0)
        return receiver.receive(body)

    rig.call(100, 0)
    rig.answers = call_meanwhile
    rig.beat()
    rig.answers = receiver.receive
    rig.beat()
    assert [message["usage"]["totalTokens"] for message in rig.transport.messages] == [100, 30]
    assert receiver.total("tokens.input") == 130


def test_beats_go_at_the_servers_interval_within_bounds(rig: Any, reply: Any) -> None:
    for asked_ms, waited_s in ((5_000, 5.0), (1, 1.0), (10**9, 600.0), (None, 30.0), ("x", 30.0)):
        rig.answers = always(reply(200, {"revision": 0, "nextHeartbeatMs": asked_ms}))
        assert rig.beat() == pytest.approx(waited_s)


def test_retry_after_is_honoured_and_bounded(rig: Any, reply: Any) -> None:
    for told, least_s, most_s in (("7", 7, 7.7), ("0", 0.1, 1), ("99999", 600, 660)):
        rig.answers = always(reply(429, retry_after=told))
        assert least_s <= rig.beat() <= most_s


def test_without_retry_after_it_backs_off_up_to_the_interval(rig: Any, reply: Any) -> None:
    rig.answers = always(reply(429))
    waits_s = [rig.beat() for _ in range(8)]
    assert waits_s == pytest.approx([0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5])


def test_a_thousand_cells_go_in_several_beats(rig: Any, receiver: Any) -> None:
    for number in range(1_000):
        rig.call(number, 1, model=f"model-{number}-" + "ü" * 100)
    beats = 0
    while rig.beat() < 5:
        beats += 1
    assert 2 <= beats <= 20
    assert receiver.total("tokens.input") == 499_500
    assert all(len(body) <= MESSAGE_BYTES for body in rig.transport.bodies)
    assert all(len(body) > 50_000 for body in rig.transport.bodies[:-1])
    assert rig.sender.heartbeat_figures().undelivered_tokens == 0


def test_413_makes_smaller_beats_and_drops_nothing(rig: Any, receiver: Any, reply: Any) -> None:
    def small(body: bytes) -> Any:
        return reply(413) if len(body) > 9_000 else receiver.receive(body)

    rig.answers = small
    for number in range(200):
        rig.call(10, 1, model=f"model-{number}", run=f"run-{number}")
    for _ in range(200):
        if rig.beat() > 5:
            break
    assert receiver.total("tokens.input") == receiver.run_total("tokens.input") == 2_000
    refused = [body for body in rig.transport.bodies if len(body) > 9_000]
    assert len(refused) == len(set(refused)) < 10, "nothing is resent unchanged"


def test_a_huge_health_report_is_cut_and_says_so(rig: Any, receiver: Any) -> None:
    checks = [{"id": f"check-{number}", "note": "ü" * 100} for number in range(1_000)]
    rig.health = lambda: {"status": "ready", "summary": {"passed": 1_000}, "checks": checks}
    rig.call(100, 20)
    rig.beat()
    health = rig.last["health"]
    assert len(rig.transport.bodies[-1]) <= MESSAGE_BYTES
    assert health["truncated"] is True
    assert health["summary"] == {"passed": 1_000}
    assert 0 < len(health["checks"]) < 1_000
    assert rig.last["usage"]["totalTokens"] == 120


@pytest.mark.parametrize("health", [{"x": float("nan")}, {"x": {1}}, {"x": "y" * 10**6}])
def test_a_health_report_that_cannot_go_gives_way_to_our_own(
    rig: Any, receiver: Any, health: dict[str, object]
) -> None:
    rig.health = lambda: health
    rig.beat()
    assert rig.last["health"]["agentName"] == "research"


class WatchedDisk:
    """A disk that says when it was asked, and can refuse."""

    def __init__(self, events: list[str], *, refuses: bool = False) -> None:
        self.events = events
        self.refuses = refuses
        self.kept: dict[str, Any] = {}

    def sync(self) -> None:
        self.events.append("sync")
        if self.refuses:
            raise OSError(28, "No space left on device")

    def load_baseline(self, incarnation: str) -> Any:
        return self.kept.get(incarnation)

    def save_baseline(self, incarnation: str, baseline: Any) -> None:
        self.events.append("save")
        self.kept[incarnation] = dict(baseline)


def test_what_is_sent_is_on_disk(rig: Any, receiver: Any) -> None:
    events: list[str] = []
    rig.sender = rig.new_sender(disk=WatchedDisk(events))

    def answers(body: bytes) -> Any:
        events.append("send")
        return receiver.receive(body)

    rig.answers = answers
    rig.call()
    rig.beat()
    assert events == ["sync", "send"]


def test_a_full_disk_does_not_keep_the_numbers_back(
    rig: Any, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.sender = rig.new_sender(disk=WatchedDisk([], refuses=True))
    rig.call()
    with caplog.at_level(logging.WARNING):
        rig.beat()
    assert receiver.total("tokens.input") == 100
    assert "No space left" in caplog.text


def test_agentspecs_baseline_survives_the_process(rig: Any, reply: Any) -> None:
    disk = WatchedDisk([])
    rig.sender = rig.new_sender(disk=disk)
    rig.answers = always(reply(204))
    rig.call(100, 20)
    rig.beat()
    assert disk.kept == {"a" * 16: {"openai/gpt-4o": (100, 20, 120, 1)}}
    rig.call(10, 2)
    rig.sender = rig.new_sender(disk=disk)  # a later process delivers the same books
    rig.beat()
    assert [message["usage"]["totalTokens"] for message in rig.transport.messages] == [120, 12]


def test_the_log_says_a_thing_once_and_when_it_is_over(
    rig: Any, receiver: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.answers = always(reply(404))
    with caplog.at_level(logging.INFO):
        rig.beat(5)
        rig.answers = receiver.receive
        rig.beat(2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "http://127.0.0.1/api/v1/heartbeat" in caplog.text


def test_figures_tell_what_waits_and_for_how_long(rig: Any, receiver: Any) -> None:
    assert rig.sender.heartbeat_figures().age_s is None
    rig.beat(2)
    rig.answers = always("timeout")
    rig.call(100, 20)
    rig.beat(3)
    figures = rig.sender.heartbeat_figures()
    assert (figures.sent, figures.failed, figures.undelivered_tokens) == (2, 3, 120)
    assert figures.age_s == 120.0


def test_a_fork_starts_with_nothing_acknowledged(rig: Any, receiver: Any, new_rig: Any) -> None:
    rig.call(100, 0)
    rig.beat()
    rig.ledger = new_rig(clock=rig.clock).ledger
    rig.ledger.incarnation = "c" * 16
    rig.sender.begin_child()
    rig.call(7, 0)
    rig.beat()
    assert rig.transport.renewed == 1
    assert receiver.state["c" * 16]["cells"].popitem()[1]["tokens.input"] == 7
    assert rig.ledger.snapshot().totals[INPUT] == 7
