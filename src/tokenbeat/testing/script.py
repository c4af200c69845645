"""A script: which request gets which answer. And the player that goes through it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokenbeat.testing.answer import Answer
from tokenbeat.testing.errors import MalformedScript

if TYPE_CHECKING:
    from tokenbeat.testing.asked import Api, Asked, Operation

Afterwards = Literal["repeat_last", "start_over", "next_rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Answers for the requests that match every condition given; ``None`` matches all.

    The answers are given one after the other. A rule without answers gives its label only, and
    the answer is the queue's next or the default. Conditions look at the request alone, so rules
    are safe with parallel clients; prefer ``turn`` and ``after_tool`` to the order of answers.
    """

    answers: tuple[Answer, ...] = ()
    afterwards: Afterwards = "repeat_last"
    """What follows the last answer."""
    label: str | None = None
    """Whose requests these are, on the bill."""
    model: str | None = None
    """The requested model's name."""
    api: Api | None = None
    operation: Operation | None = None
    system_contains: str | None = None
    """A part of the system prompt."""
    last_contains: str | None = None
    """A part of the last message's text (or of the input, where there are no messages)."""
    after_tool: bool | None = None
    """Whether the last message is a tool's result."""
    turn: int | None = None
    """How many of the model's own messages the conversation already holds; 0 is the first call."""
    stream: bool | None = None

    def matches(self, asked: Asked) -> bool:
        """Whether the request is one of this rule's."""
        exact = (
            (self.model, asked.model),
            (self.api, asked.api),
            (self.operation, asked.operation),
            (self.after_tool, asked.after_tool),
            (self.turn, asked.turn),
            (self.stream, asked.stream),
        )
        contained = (
            (self.system_contains, asked.system_text),
            (self.last_contains, asked.last_text),
        )
        return all(want is None or want == have for want, have in exact) and all(
            want is None or want in have for want, have in contained
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that a server will answer.

    The first rule that matches decides; then the queue, whose answers are each given once; then
    the default, whose usage is derived from the request.
    """

    rules: tuple[Rule, ...] = ()
    queue: tuple[Answer, ...] = ()
    default: Answer = Answer()  # noqa: RUF009 - frozen, hence safe to share
    seed: int = 0
    """Starts the sequence of response ids."""

    def __post_init__(self) -> None:
        """Refuse a seed that is no number."""
        if type(self.seed) is not int:
            raise MalformedScript(field="seed", problem="not an int")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The answer to one request and, where a rule gave one, its label."""

    answer: Answer
    label: str | None


class Player:
    """Goes through a script. Safe to use from any thread."""

    def __init__(self, script: Script) -> None:
        """Begin at the script's beginning."""
        self._lock = threading.Lock()
        self._script = script
        self._rules = [_Progress(rule) for rule in script.rules]
        self._queue = list(script.queue)

    def enqueue(self, *answers: Answer) -> None:
        """Add answers to the end of the queue."""
        with self._lock:
            self._queue.extend(answers)

    def add(self, *rules: Rule) -> None:
        """Add rules after those that are there."""
        with self._lock:
            self._rules.extend(_Progress(rule) for rule in rules)

    @property
    def queued(self) -> int:
        """How many answers of the queue have not been given yet."""
        with self._lock:
            return len(self._queue)

    def choose(self, asked: Asked) -> Chosen:
        """The answer to this request; moves its rule or the queue on."""
        label: str | None = None
        with self._lock:
            for progress in self._rules:
                if not progress.rule.matches(asked):
                    continue
                answer = progress.next_answer()
                if answer is not None:
                    return Chosen(answer=answer, label=progress.rule.label or label)
                label = label or progress.rule.label
            if self._queue:
                return Chosen(answer=self._queue.pop(0), label=label)
            return Chosen(answer=self._script.default, label=label)


class _Progress:
    """How far a rule's answers have been given."""

    __slots__ = ("_given", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._given = 0

    def next_answer(self) -> Answer | None:
        answers = self.rule.answers
        if not answers:
            return None
        position = self._given
        self._given += 1
        if position < len(answers):
            return answers[position]
        if self.rule.afterwards == "repeat_last":
            return answers[-1]
        if self.rule.afterwards == "start_over":
            return answers[position % len(answers)]
        return None
