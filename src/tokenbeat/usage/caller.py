"""Who called: a path of typed steps, such as ``lead_agent/subagent:researcher``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, cast, get_args

from tokenbeat.usage.errors import MalformedCaller

StepType = Literal[
    "lead_agent", "subagent", "middleware", "tool", "node", "chain", "helper", "remote"
]
CallerBucket = Literal["lead_agent", "subagent", "middleware", "unattributed"]

STEP_TYPES: Final[frozenset[str]] = frozenset(get_args(StepType))
NAME_LENGTH: Final = 64
"""Characters of a step's name; a longer one ends in a hash of the whole."""
MAX_STEPS: Final = 16
"""Steps of a path; deeper ones are counted for the sixteenth."""

_RESERVED = frozenset({"unattributed", "other"})
_FOREIGN = re.compile(r"[^\w.:-]+")
_HASH_LENGTH = 8


def step_name(name: str) -> str:
    r"""``name`` as it may stand in a path: at most 64 characters of ``[\w.:-]``.

    Another name is cleaned and ends in a hash of the original, so that two names that differ only
    in what was cleaned away stay two names.
    """
    if name and len(name) <= NAME_LENGTH and not _FOREIGN.search(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    clean = _FOREIGN.sub("_", name)[: NAME_LENGTH - _HASH_LENGTH - 1]
    return f"{clean}-{digest}"


@dataclass(frozen=True, slots=True)
class CallerStep:
    """One step of a path.

    Attributes:
        type: What kind of caller it is.
        name: Its name, cleaned by `step_name`.
        instance: 1 for the first of its name in a run, 2 for the second beside it, …; instances
            show in run cells and spans, never in cells or metrics.
    """

    type: StepType
    name: str
    instance: int = 1

    def __post_init__(self) -> None:
        if self.type not in STEP_TYPES or not self.name or self.instance < 1:
            raise MalformedCaller(value=f"{self.type}:{self.name}#{self.instance}")
        object.__setattr__(self, "name", step_name(self.name))

    def __str__(self) -> str:
        if self.type == "lead_agent" and ":" not in self.name and self.name not in _RESERVED:
            return self.name
        return f"{self.type}:{self.name}"


@dataclass(frozen=True, slots=True)
class Caller:
    """The path to a call, outermost step first; no steps means that nobody is known.

    Attributes:
        steps: The steps, at most `MAX_STEPS`.
        path: ``lead_agent/subagent:researcher``; ``unattributed`` without steps. A lead agent
            prints as its bare name.
        instance_path: The same with ``#2`` behind a second instance of one name.
        type: The last step's type, or ``unattributed``.
    """

    steps: tuple[CallerStep, ...] = ()
    path: str = field(init=False, compare=False, repr=True)
    instance_path: str = field(init=False, compare=False, repr=False)
    type: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        steps = self.steps[:MAX_STEPS]
        path = "/".join(map(str, steps)) or "unattributed"
        instances = "/".join(
            f"{step}#{step.instance}" if step.instance > 1 else str(step) for step in steps
        )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "instance_path", instances or "unattributed")
        object.__setattr__(self, "type", steps[-1].type if steps else "unattributed")

    def child(self, step_type: StepType, name: str, *, instance: int = 1) -> Caller:
        """This path with one more step."""
        return Caller((*self.steps, CallerStep(step_type, name, instance)))


UNATTRIBUTED: Final = Caller()
"""A call without any context: visible, never silently the lead's."""


def parse_step(text: str) -> CallerStep:
    """Reads ``subagent:researcher``, ``lead_agent`` or a bare name (a ``helper``).

    Raises:
        MalformedCaller: The text is empty, or has a type and no name.
    """
    step_type, colon, name = text.partition(":")
    if colon and step_type in STEP_TYPES:
        return CallerStep(cast("StepType", step_type), name)
    if text == "lead_agent":
        return CallerStep("lead_agent", text)
    return CallerStep("helper", text)


def caller_type(path: str) -> str:
    """The last step's type of a path as printed by `Caller`."""
    last = path.rpartition("/")[2].partition("#")[0]
    if last in _RESERVED:
        return last
    step_type, colon, _ = last.partition(":")
    return step_type if colon and step_type in STEP_TYPES else "lead_agent"


def caller_bucket(path: str) -> CallerBucket:
    """DeerFlow's three keys and a fourth: any subagent, else any middleware, else the lead."""
    if path in _RESERVED:
        return "unattributed"
    types = {caller_type(step) for step in path.split("/")}
    if "subagent" in types:
        return "subagent"
    return "middleware" if "middleware" in types else "lead_agent"
