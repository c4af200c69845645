"""Why a stream, or the server itself, cannot be had."""

from __future__ import annotations

from tokenbeat.control_plane.errors import ControlPlaneError


class TooManyStreams(ControlPlaneError):
    """As many as the server allows are watching already.

    Attributes:
        most: How many that is.
        retry_after_s: When to ask again (seconds).
    """

    def __init__(self, *, most: int, retry_after_s: int) -> None:
        super().__init__(f"{most} streams are open, which is the most that are allowed")
        self.most = most
        self.retry_after_s = retry_after_s


class ServerDidNotStart(ControlPlaneError):
    """A control plane in the background did not come up.

    Attributes:
        host: Where it was to listen.
        port: The port; 0 was the system's choice.
    """

    def __init__(self, *, host: str, port: int) -> None:
        super().__init__(f"no control plane came up on {host}:{port}; the log says why")
        self.host = host
        self.port = port
