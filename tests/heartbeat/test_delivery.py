"""Laws of delivery: whatever the network and the server do, totals equal the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenbeat.heartbeat.limits import MESSAGE_BYTES
from tokenbeat.usage.counts import INPUT, OK, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable

ANY_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

CALLS = st.tuples(
    st.just("call"), st.integers(0, 10**6), st.sampled_from("abc"), st.sampled_from("xyz")
)
NAMES = (
    "beat", "lost_request", "lost_answer", "duplicate", "late_duplicate", "back_up", "restore",
    "minute", "hour", "clock_back", "smaller", "busy", "error", "html",
)  # fmt: skip
STEPS = st.lists(CALLS | st.tuples(st.sampled_from(NAMES), st.integers(0, 30)), max_size=40)


class Road:
    """A sender, a receiver and everything bad that can lie between them."""

    def __init__(self, rig: Any, receiver: Any, reply: Any) -> None:
        self.rig, self.receiver, self.reply = rig, receiver, reply

    def walk(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)

    def call(self, tokens: int, model: str, caller: str) -> None:
        self.rig.call(tokens, tokens // 7, model=model, caller=caller, run="r")

    def beat(self, _: int) -> None:
        self._beat(self.receiver.receive)

    def lost_request(self, _: int) -> None:
        self._beat(lambda _: "timeout")

    def lost_answer(self, _: int) -> None:
        self._beat(lambda body: (self.receiver.receive(body), "timeout")[1])

    def duplicate(self, _: int) -> None:
        for body in self.rig.transport.bodies[-1:]:
            self.receiver.receive(body)

    def late_duplicate(self, number: int) -> None:
        bodies = self.rig.transport.bodies
        if bodies:
            self.receiver.receive(bodies[number % len(bodies)])

    def back_up(self, _: int) -> None:
        self.receiver.back_up()

    def restore(self, _: int) -> None:
        self.receiver.restore()

    def minute(self, _: int) -> None:
        self.rig.clock.advance(60_000_000_000)

    def hour(self, _: int) -> None:
        self.rig.clock.advance(3_600_000_000_000)

    def clock_back(self, _: int) -> None:
        self.rig.clock.step_wall(-3_600_000_000_000)

    def smaller(self, _: int) -> None:
        self._beat(lambda _: self.reply(413))

    def busy(self, _: int) -> None:
        self._beat(lambda _: self.reply(429))

    def error(self, _: int) -> None:
        self._beat(lambda _: self.reply(500))

    def html(self, _: int) -> None:
        self._beat(lambda _: self.reply(200, "<html>"))

    def _beat(self, answers: Callable[[bytes], Any]) -> None:
        self.rig.answers = answers
        self.rig.beat()


def settle(rig: Any, receiver: Any) -> None:
    """The network is well again: a few beats must be enough."""
    rig.answers = receiver.receive
    for _ in range(3):
        wait_s = rig.beat()
        while wait_s < 5:
            wait_s = rig.beat()


def assert_equal(rig: Any, receiver: Any) -> None:
    totals = rig.ledger.snapshot().totals
    for index, name in ((OK, "calls.ok"), (INPUT, "tokens.input"), (OUTPUT, "tokens.output")):
        assert receiver.total(name) == totals[index]
        assert receiver.bucket_total(name) == totals[index]
    runs = rig.ledger.snapshot().runs
    in_runs = sum(cell.counts[INPUT] for run in runs for cell in run.cells)
    assert receiver.run_total("tokens.input") == in_runs
    assert rig.sender.heartbeat_figures().undelivered_tokens == 0


@ANY_FIXTURE
@given(steps=STEPS)
def test_totals_equal_the_ledger_whatever_the_road_does(
    new_rig: Any, new_receiver: Any, reply: Any, steps: list[tuple[Any, ...]]
) -> None:
    rig, receiver = new_rig(), new_receiver()
    road = Road(rig, receiver, reply)
    for step in steps:
        road.walk(*step)
    settle(rig, receiver)
    assert_equal(rig, receiver)
    assert all(len(body) <= MESSAGE_BYTES for body in rig.transport.bodies)


@ANY_FIXTURE
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 5_000), st.sampled_from("abc"), st.sampled_from("xyz")),
        max_size=30,
    ),
    beat_after=st.sets(st.integers(0, 30)),
)
def test_limits_of_the_server_only_delay(
    new_rig: Any, new_receiver: Any, calls: list[tuple[int, str, str]], beat_after: set[int]
) -> None:
    rig, receiver = new_rig(), new_receiver(largest_increase=1_500)
    rig.answers = receiver.receive
    for index, (tokens, model, caller) in enumerate(calls):
        rig.call(tokens, tokens // 7, model=model, caller=caller, run="r")
        if index in beat_after:
            rig.beat()
    for _ in range(5 * len(calls) * 10 + 5):
        if rig.beat() > 5:
            break
    assert_equal(rig, receiver)
    assert receiver.state["a" * 16]["revision"] == rig.ledger.revision


@ANY_FIXTURE
@given(
    steps=st.lists(
        CALLS | st.tuples(st.sampled_from(["process", "sidecar", "lost_answer"]), st.just(0)),
        max_size=30,
    )
)
def test_two_senders_of_one_incarnation_count_once(
    new_rig: Any, new_receiver: Any, steps: list[tuple[Any, ...]]
) -> None:
    rig, receiver = new_rig(), new_receiver()
    rig.answers = receiver.receive
    process, sidecar = rig.sender, rig.new_sender(kind="sidecar")
    for name, *arguments in steps:
        if name == "call":
            tokens, model, caller = arguments
            rig.call(tokens, tokens // 7, model=model, caller=caller, run="r")
            continue
        rig.sender = sidecar if name == "sidecar" else process
        if name == "lost_answer":
            Road(rig, receiver, None).lost_answer(0)
        else:
            Road(rig, receiver, None).beat(0)
    rig.sender = process
    settle(rig, receiver)
    assert_equal(rig, receiver)
    assert set(receiver.state) <= {"a" * 16}


@ANY_FIXTURE
@given(names=st.lists(st.text(st.characters(), max_size=300), max_size=60))
def test_no_message_is_larger_than_64_kib(
    new_rig: Any, new_receiver: Any, names: list[str]
) -> None:
    rig, receiver = new_rig(), new_receiver()
    rig.answers = receiver.receive
    for minute, name in enumerate(names):
        for number in range(5):
            rig.call(
                1, 0, model=f"{number}\u00e9" * 100 + name, caller=name or "x", run=name or "r"
            )
        if minute % 3 == 0:
            rig.clock.advance(60_000_000_000)
    settle(rig, receiver)
    assert_equal(rig, receiver)
    assert all(len(body) <= MESSAGE_BYTES for body in rig.transport.bodies)


def test_one_change_that_hardly_fits_does_not_hold_up_the_rest(
    new_rig: Any, new_receiver: Any, reply: Any
) -> None:
    rig, receiver = new_rig(), new_receiver()
    road = Road(rig, receiver, reply)
    road.smaller(0)
    for _ in range(12):
        road.call(100, "a", "x")
        road.lost_request(0)
        road.minute(0)
    settle(rig, receiver)
    assert_equal(rig, receiver)
    assert receiver.state["a" * 16]["revision"] == rig.ledger.revision
