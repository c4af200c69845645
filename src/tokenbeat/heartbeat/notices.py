"""What the log is told, once and not at every beat."""

from __future__ import annotations

import logging
from typing import Final

_LOGGER: Final = logging.getLogger("tokenbeat.heartbeat")


class Notices:
    """Says each thing once until beats get through again."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, about: str, message: str, *args: object) -> None:
        """Log a warning unless the same was said since the last `clear`.

        Args:
            about: What it is about: one line for each.
            message: A format for ``logging``.
            args: Its values; never the key.
        """
        if about not in self._said:
            self._said.add(about)
            _LOGGER.warning(message, *args)

    def clear(self, *, url: str) -> None:
        """Beats get through: say that, if something else was said before."""
        if self._said:
            self._said.clear()
            _LOGGER.info("Heartbeats to %s are acknowledged again; nothing was lost.", url)
