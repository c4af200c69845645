"""Errors of the demo."""

from __future__ import annotations

from tokenbeat.errors import TokenbeatError


class DemoError(TokenbeatError):
    """The demo cannot go on."""


class ProcessFailed(DemoError):
    """One of the demo's processes did not start, or ended with an error.

    Attributes:
        name: Which one.
        said: The end of what it printed.
    """

    def __init__(self, *, name: str, said: str) -> None:
        super().__init__(f"{name} failed: {said.strip() or 'it said nothing'}")
        self.name = name
        self.said = said


class NoEndpoint(DemoError):
    """``LIVE=1`` without the key of an endpoint."""

    def __init__(self) -> None:
        super().__init__("LIVE=1 needs OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint)")


class OverTheCap(DemoError):
    """A live run spent more than it may and was stopped.

    Attributes:
        spent_tokens: What was counted when it was stopped.
        cap_tokens: What it may spend.
    """

    def __init__(self, *, spent_tokens: int, cap_tokens: int) -> None:
        super().__init__(f"stopped: {spent_tokens} tokens were spent, the cap is {cap_tokens}")
        self.spent_tokens = spent_tokens
        self.cap_tokens = cap_tokens
