"""What a server answers to beats, as the tests of the sender script it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_NS = 3_600_000_000_000
CLONE = {"type": "https://tokenbeat.example/problems/clone", "status": 409}


def scripted(*answers: Any, then: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """The answers one by one, then what ``then`` says."""
    left = list(answers)
    return lambda body: left.pop(0) if left else then(body)


def always(answer: Any) -> Callable[[bytes], Any]:
    """The same answer to every beat."""
    return lambda _: answer
