"""Ids such as the providers make them: long, random, and the same again for the same seed."""

from __future__ import annotations

import random
import string
import threading

_LETTERS = string.ascii_letters + string.digits


class Ids:
    """Draws ids; safe to use from any thread."""

    def __init__(self, *, seed: int) -> None:
        """Start the sequence that ``seed`` stands for."""
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, not a secret

    def draw(self, prefix: str, *, length: int = 29) -> str:
        """A new id: ``prefix`` and ``length`` letters and digits."""
        with self._lock:
            return prefix + "".join(self._chance.choices(_LETTERS, k=length))
