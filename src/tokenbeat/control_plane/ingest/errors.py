"""Why a heartbeat is not taken.

    ControlPlaneError
    └── IngestError
        ├── BodyTooLarge           more bytes than a message may have
        ├── BodyNotJson            its headers say that it is something else
        ├── BodyUndecodable        no JSON object, or text that no database can keep
        ├── ForeignService         names another service than the key's
        ├── ForeignIncarnation     names an incarnation of another service
        ├── ClonedIncarnation      another process image goes on under the same id
        ├── CountsRefused          counts past a limit; nothing of the beat is stored
        └── TooManyBeats           come again later

A message that breaks the schema is `tokenbeat.heartbeat.errors.MessageRefused`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenbeat.control_plane.errors import ControlPlaneError


class IngestError(ControlPlaneError):
    """A beat that is not taken. Nothing of it is stored."""


class BodyTooLarge(IngestError):
    """The body has more bytes than a message may have.

    Attributes:
        most_bytes: How many it may have.
    """

    def __init__(self, *, most_bytes: int) -> None:
        super().__init__(f"the body may have at most {most_bytes} bytes")
        self.most_bytes = most_bytes


class BodyNotJson(IngestError):
    """A header says that the body is no plain JSON.

    Attributes:
        header: Which one.
        must_be: What it must say.
    """

    def __init__(self, *, header: str, must_be: str) -> None:
        super().__init__(f"the header {header} must be {must_be}")
        self.header = header
        self.must_be = must_be


class BodyUndecodable(IngestError):
    """The body is no JSON object, or holds what cannot be kept.

    Attributes:
        field: Where; ``body`` for the whole.
        reason: What is wrong, as the end of a sentence.
    """

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class ForeignService(IngestError):
    """An agent key was used for another service.

    Attributes:
        field: Which field names it.
        named: What it names.
    """

    def __init__(self, *, field: str, named: str) -> None:
        super().__init__(f"{field} is {named!r}, which is not the service of this key")
        self.field = field
        self.named = named


class ForeignIncarnation(IngestError):
    """The incarnation belongs to another service.

    Attributes:
        field: Which field names it.
    """

    def __init__(self) -> None:
        self.field = "tokenbeat.incarnation"
        super().__init__(f"{self.field} is known as another service's")


class ClonedIncarnation(IngestError):
    """The latest beat of this incarnation came from another process image (a snapshot resumed).

    Attributes:
        incarnation: The id that both use.
    """

    def __init__(self, *, incarnation: str) -> None:
        super().__init__(
            f"the latest beat of incarnation {incarnation} is unknown to this sender: it was "
            "copied from another one and must take a new id"
        )
        self.incarnation = incarnation


@dataclass(frozen=True, slots=True, kw_only=True)
class CountFault:
    """One count past a limit.

    Attributes:
        field: Its path in the message.
        reason: What is wrong, as the end of a sentence.
        largest: The largest value that would be taken there now.
    """

    field: str
    reason: str
    largest: int


class CountsRefused(IngestError):
    """Counts are past a limit; nothing of the beat is stored.

    Attributes:
        faults: All of them, in the order of the message; at least one.
    """

    def __init__(self, *, faults: tuple[CountFault, ...]) -> None:
        super().__init__(f"{faults[0].field} {faults[0].reason}")
        self.faults = faults


class TooManyBeats(IngestError):
    """Beats come faster than they are accepted.

    Attributes:
        retry_after_s: When to come again (whole seconds from now, 1 or more).
    """

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(f"too many heartbeats: come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
