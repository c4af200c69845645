"""Numbers for equal-named sub-agents beside each other: ``researcher``, ``researcher#2``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenbeat.attribution.scope import Scope

_AGENTS = frozenset({"lead_agent", "subagent", "workflow", "run", "helper", "chain", "remote"})


class _Family:
    """Those of one name: the numbers in use, and what was given at the latest moment."""

    __slots__ = ("given", "in_use", "moment")

    def __init__(self) -> None:
        self.moment: int | None = None
        self.given = 0
        self.in_use: set[int] = set()


class Siblings:
    """The sub-agents of one scope by name. Safe to use from any thread."""

    __slots__ = ("_families", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._families: dict[str, _Family] = {}

    def take(self, name: str, *, moment: int | None) -> int:
        """The number of one that starts now.

        The lowest number that is not in use, and not given at the same moment: two that a graph
        starts in one step are 1 and 2 even if the first has ended before the second starts, and one
        that is started in a later step is 1 again.

        Args:
            name: Its name.
            moment: The parent's step, or None where nobody knows.
        """
        with self._lock:
            family = self._families.setdefault(name, _Family())
            if moment is None or family.moment != moment:
                family.given = 0
            family.moment = moment
            number = family.given + 1
            while number in family.in_use:
                number += 1
            family.given = number
            family.in_use.add(number)
            return number

    def release(self, name: str, number: int) -> None:
        """One has ended."""
        with self._lock:
            self._families[name].in_use.discard(number)


_MAKING = threading.Lock()


def take_number(parent: Scope | None, name: str, *, moment: int | None) -> tuple[Scope, str, int]:
    """Numbers a sub-agent among those that the nearest agent around it has started.

    Returns:
        Where it was numbered, its name and its number, to be given to `release_number`.
    """
    agent = parent
    while agent is not None and agent.kind not in _AGENTS and agent.parent is not None:
        agent = agent.parent
    if agent is None:
        msg = "a sub-agent without anything around it has no siblings"
        raise AssertionError(msg)
    siblings = agent.siblings
    if siblings is None:
        with _MAKING:
            siblings = agent.siblings = agent.siblings or Siblings()
    return agent, name, siblings.take(name, moment=moment)


def release_number(numbered: tuple[Scope, str, int]) -> None:
    """The sub-agent has ended."""
    agent, name, number = numbered
    if agent.siblings is not None:
        agent.siblings.release(name, number)
