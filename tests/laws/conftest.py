"""A small world of model calls whose bill is known, told to a ledger by any mix of sources."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.bounds import SECOND_NS
from tokenbeat.ledger.report import CallToken, Report
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from tokenbeat.usage.call import Outcome

Step = Callable[[], None]


@dataclass(frozen=True)
class Attempt:
    """One request: what it used, whether the wire told so, how it ended."""

    input_tokens: int
    output_tokens: int
    fails: bool = False
    told: bool = True


@dataclass(frozen=True)
class Call:
    """A framework call: its attempts, the last of which answers unless it fails, too."""

    model: str
    caller: int
    attempts: tuple[Attempt, ...]
    cached: bool = False
    routed: bool = False
    """A router of the framework's stands around it and repeats its usage."""


class World:
    """Plays calls as interleaved steps of a framework and a wire-level source."""

    def __init__(self, *, framework: bool, wire: bool, ends: int = 1) -> None:
        self.clock = ManualClock()
        self.lines: list[bytes] = []
        self.ledger = Ledger(incarnation="b" * 16, clock=self.clock, journal=self)
        self.framework = framework
        self.wire = wire
        self.ends = ends
        self.bytes_written = 0

    def append(self, line: bytes) -> None:
        self.lines.append(line)

    def sync(self) -> None:
        return

    def close(self) -> None:
        return

    def steps(self, call: Call) -> Iterator[None]:
        """Each ``next`` is one thing that happens; the rest of the world goes on in between."""
        caller = Caller().child("lead_agent", "lead").child("subagent", f"sub{call.caller}")
        token = CallToken()
        report = router = None
        if self.framework:
            if call.routed:
                router = self._framework("router", caller=caller, token=CallToken())
                yield
            report = self._framework(call.model, caller=caller, token=token, inside=router)
            yield
        last = call.attempts[-1]
        usage = TokenUsage(input_tokens=last.input_tokens, output_tokens=last.output_tokens)
        if self.wire and not call.cached:
            for attempt in call.attempts:
                yield from self._request(call, attempt, caller=caller, token=token)
        if report is not None:
            outcome: Outcome = "error" if last.fails else "ok"
            for _ in range(self.ends):
                self.ledger.end(
                    report, outcome=outcome, usage=None if last.fails else usage,
                    cached=call.cached,
                )  # fmt: skip
                yield
        if router is not None:
            self.ledger.end(router, outcome="ok", usage=None if last.fails else usage)

    def _framework(
        self, model: str, *, caller: Caller, token: CallToken, inside: Report | None = None
    ) -> Report:
        return self.ledger.start(
            source="fw", operation="chat", provider="openai", request_model=model, caller=caller,
            member_of=token, inside=inside,
        )  # fmt: skip

    def _request(
        self, call: Call, attempt: Attempt, *, caller: Caller, token: CallToken
    ) -> Iterator[None]:
        request = self.ledger.start(
            source="wire", operation="chat", provider="openai", request_model=call.model,
            caller=caller, token=token,
        )  # fmt: skip
        yield
        usage = TokenUsage(input_tokens=attempt.input_tokens, output_tokens=attempt.output_tokens)
        for _ in range(self.ends):
            self.ledger.end(
                request, outcome="error" if attempt.fails else "ok",
                usage=usage if attempt.told and not attempt.fails else None,
            )  # fmt: skip
            yield

    def play(self, calls: list[Call], *, seed: int, check: Step | None = None) -> None:
        """Runs all calls, interleaved as ``seed`` says."""
        chance = random.Random(seed)  # noqa: S311 a schedule, no secret
        running = [self.steps(call) for call in calls]
        while running:
            steps = chance.choice(running)
            if next(steps, self) is self:
                running.remove(steps)
            if check is not None:
                check()
        self.clock.advance(10 * SECOND_NS)
        self.ledger.expire()


@pytest.fixture
def world() -> type[World]:
    return World


@pytest.fixture
def call_type() -> type[Call]:
    return Call
