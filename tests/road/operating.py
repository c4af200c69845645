"""A control plane that can go down, come back and lose its database, and one agent that spends."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.road.doors import billed, differences
from tests.road.plan import Agent, Ask, Middleware, SubAgent, Tree
from tests.road.relay import Relay
from tests.road.stand import Stand, control_plane, counting, new_service, register
from tokenbeat.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.road.playing import Player
    from tokenbeat.control_plane.live.background import RunningPlane
    from tokenbeat.testing import ModelServer

_START_NS = 1_775_001_600_000_000_000  # 2026-04-01T00:00:00Z: a minute's, hour's and day's boundary
_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS

_RESEARCHER = Agent(3, ((Ask(1, "ok"),),), (), "ok")
_BEHIND_A_TOOL = (SubAgent(_RESEARCHER, "researcher", "own_loop"),)
_TITLE = Middleware(2, "before_agent", "ok")
TREE = Tree(Agent(0, (_BEHIND_A_TOOL,), (_TITLE,), "ok"), "invoke")
"""A lead, a sub-agent with a tool, a middleware: four callers, four models."""


class Operator:
    """Runs a control plane whose data are in ``folder``."""

    def __init__(self, folder: Path, *, clock: ManualClock) -> None:
        self._folder = folder
        self._clock = clock
        self._stack = ExitStack()
        self.plane = self.start()

    def start(self) -> RunningPlane:
        """Starts it, at an address of its own."""
        plane = control_plane(self._folder, clock=self._clock)
        self.plane = self._stack.enter_context(plane)
        return self.plane

    def stop(self) -> None:
        """Stops it."""
        self._stack.close()

    def lose_database(self) -> None:
        """Starts it again without its database; admin key and signing secret are still there."""
        self.stop()
        lost = list(self._folder.glob("*.sqlite3*"))
        assert lost
        for path in lost:
            path.unlink()
        self.start()


@dataclass
class Road:
    """An agent, its stand, and the relay and operator on the other side; time stands still."""

    stand: Stand
    operator: Operator
    clock: ManualClock
    player: Player
    models: ModelServer
    by_minute: dict[int, int] = field(default_factory=dict[int, int])
    """Billed tokens by the end of the minute (whole minutes since the start) of their calls."""

    @property
    def relay(self) -> Relay:
        """What stands between sender and control plane."""
        return self.stand.relay

    def register(self) -> None:
        """The operator writes a new key into the agent's key file, and points the relay."""
        self.relay.target = self.operator.plane.address
        register(self.operator.plane, self.stand.service, key_file=self.stand.key_file)

    def spend(self) -> None:
        """One run of the agent."""
        before = self.models.bill.total_tokens
        self.player.play(TREE)
        assert self.models.bill.wait_until_settled()
        minute = (self.clock.wall_ns() - _START_NS) // _MINUTE_NS + 1
        spent = self.models.bill.total_tokens - before
        self.by_minute[minute] = self.by_minute.get(minute, 0) + spent

    def beat(self, times: int = 1) -> None:
        """Some beats; after each, so much time passes as the sender wants to wait."""
        for _ in range(times):
            self.stand.beat()
            self.clock.advance(int(self.stand.waits_s[-1] * _SECOND_NS))

    def deliver(self, *, beats: int = 12) -> int:
        """Beats until the control plane holds everything; how many those were."""
        for number in range(1, beats + 1):
            if self.stand.beat():
                return number
            self.clock.advance(int(self.stand.waits_s[-1] * _SECOND_NS))
        raise AssertionError(self.relay.statuses)

    def wrong_doors(self) -> list[str]:
        """What any door tells differently from the bill: nothing, one hopes."""
        bill = billed(self.models.bill)
        assert bill.total_tokens > 0
        return differences(bill, self.stand.at_all_doors(self.operator.plane.address))

    def tokens_by_minute(self) -> dict[int, int]:
        """What the control plane booked into each minute, by the minute's end."""
        answer = httpx.get(
            f"{self.operator.plane.address}/api/v1/usage/series",
            params={"bucket": "minute", "from": "2026-04-01T00:00:00Z", "by": "service"},
        )
        booked: dict[int, int] = {}
        points: list[dict[str, Any]] = answer.json()["points"]
        for point in points:
            hour, minute = point["at"][11:16].split(":")
            at = int(hour) * 60 + int(minute)
            booked[at] = booked.get(at, 0) + point["tokens"]["total"]
        return {at: tokens for at, tokens in booked.items() if tokens}


@contextmanager
def road(folder: Path, *, player: Player, models: ModelServer) -> Generator[Road]:
    """A road of its own, with an empty bill."""
    models.bill.clear()
    clock = ManualClock(now_wall_ns=_START_NS + _SECOND_NS)
    operator = Operator(folder / "plane", clock=clock)
    with ExitStack() as stack:
        stack.callback(operator.stop)
        relay = stack.enter_context(Relay(operator.plane.address))
        stand = Stand(new_service(), folder, relay, clock)
        stack.enter_context(counting(stand))
        opened = Road(stand, operator, clock, player, models)
        opened.register()
        yield opened
