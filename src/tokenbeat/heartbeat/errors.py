"""What can be wrong with a heartbeat or with the road that it takes.

TokenbeatError
├── MessageRefused             a message breaks the schema; names the field
├── PlaintextRefused           the key would travel unencrypted to another machine
├── UrlRefused                 the control plane's address is no http(s) URL
└── NoAnswer                   the request got no complete answer
"""

from __future__ import annotations

from typing import Literal

from tokenbeat.errors import TokenbeatError


class MessageRefused(TokenbeatError):
    """A heartbeat that must not be stored.

    Attributes:
        field: Where the fault is, as a path: ``tokenbeat.cuts[0].cells[3].tokens.input``.
        reason: What is wrong there, as the end of a sentence ("must be …").
        largest: The largest value that would have been taken, where the fault is a number that is
            too large; else None.
    """

    def __init__(self, *, field: str, reason: str, largest: int | None = None) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason
        self.largest = largest


class PlaintextRefused(TokenbeatError):
    """Plain http to a host that is not this machine would show the key to the network."""

    def __init__(self, *, host: str) -> None:
        super().__init__(
            f"heartbeats to http://{host} would carry the API key unencrypted: use https, or set "
            "TOKENBEAT_ALLOW_PLAINTEXT=1 where the network is trusted"
        )
        self.host = host


class UrlRefused(TokenbeatError):
    """The control plane's address cannot be used."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"TOKENBEAT_CONTROL_PLANE_URL {reason}")
        self.reason = reason


NoAnswerKind = Literal["connect", "reset", "timeout", "too_large", "tls"]


class NoAnswer(TokenbeatError):
    """The request may or may not have been served: no complete answer came.

    Attributes:
        kind: What happened to the connection.
        detail: The other package's words, with the key taken out.
    """

    def __init__(self, *, kind: NoAnswerKind, detail: str) -> None:
        super().__init__(f"no answer from the control plane ({kind}): {detail}")
        self.kind: NoAnswerKind = kind
        self.detail = detail
