"""What can be wrong with a script, an answer, a request to the model server, or its use.

TokenbeatError
└── ModelServerError
├── ImpossibleScriptedUsage   a part greater than its whole, or not a count
├── MalformedScript           a script's JSON says something that no script has
├── MalformedModelRequest     a client sent what the provider would refuse
└── ModelServerNotRunning     used before it was started or after it was stopped
"""

from __future__ import annotations

from tokenbeat.errors import TokenbeatError


class ModelServerError(TokenbeatError):
    """Root of this folder's errors."""


class ImpossibleScriptedUsage(ModelServerError):
    """A scripted usage that no provider could have billed."""

    def __init__(self, *, field: str, value: object, limit: str) -> None:
        """Keep the field, what it was given and what it may be."""
        self.field = field
        self.value = value
        self.limit = limit
        super().__init__(f"scripted usage: {field} is {value!r}, it must be {limit}")


class MalformedScript(ModelServerError):
    """A script, or its JSON form, has a value that cannot be played."""

    def __init__(self, *, field: str, problem: str) -> None:
        """Keep the path of the field in the script and what is wrong with it."""
        self.field = field
        self.problem = problem
        super().__init__(f"script field {field}: {problem}")


class MalformedModelRequest(ModelServerError):
    """A request body that the provider would refuse; the client gets status 400."""

    def __init__(self, *, field: str, problem: str) -> None:
        """Keep the path of the field in the request body and what is wrong with it."""
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class ModelServerNotRunning(ModelServerError):
    """The server has no address yet, or no longer."""

    def __init__(self, *, wanted: str) -> None:
        """Keep what was asked of the server."""
        self.wanted = wanted
        super().__init__(f"{wanted}: the model server is not running; use it in a with statement")
