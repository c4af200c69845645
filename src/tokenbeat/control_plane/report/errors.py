"""Questions that a report does not answer."""

from __future__ import annotations

from tokenbeat.control_plane.errors import ControlPlaneError


class ReportError(ControlPlaneError):
    """A question that has no answer."""


class BadParameter(ReportError):
    """A query parameter that means nothing here.

    Attributes:
        parameter: Its name, as it stands in the address.
        reason: What is wrong with its value.
    """

    def __init__(self, *, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter
        self.reason = reason


class UnknownAgent(ReportError):
    """No service of that name is registered or has reported.

    Attributes:
        agent: The name that was asked for.
    """

    def __init__(self, *, agent: str) -> None:
        super().__init__(f"no agent {agent!r} is known")
        self.agent = agent


class UnknownRun(ReportError):
    """No process has reported a run with that id.

    Attributes:
        run: The id that was asked for.
    """

    def __init__(self, *, run: str) -> None:
        super().__init__(f"no run {run!r} is known")
        self.run = run
