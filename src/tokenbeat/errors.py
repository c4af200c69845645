"""The root of every error that Tokenbeat raises, and the tree of them.

    TokenbeatError
    ├── CommandError                     a command could not be done
    │   ├── BadOption                    a command was asked for wrongly
    │   ├── NoAnswer                     nobody answers at an address as a control plane does
    │   ├── RefusedByServer              the control plane says no
    │   └── UnusableFile                 a file cannot be read or written
    ├── TimeRunsForward                  a clock was asked to advance by a negative duration
    ├── ControlPlaneError                something that the control plane can name went wrong
    │   ├── BadSetting                   a setting that the server does not start with
    │   ├── DatabaseError                the database cannot be used
    │   ├── IngestError                  a beat that is not taken
    │   │   ├── BodyNotJson              a header says that the body is no plain JSON
    │   │   ├── BodyTooLarge             the body has more bytes than a message may have
    │   │   ├── BodyUndecodable          the body is no JSON object, or holds what cannot be kept
    │   │   ├── ClonedIncarnation        the latest beat came from another process image
    │   │   ├── CountsRefused            counts are past a limit
    │   │   ├── ForeignIncarnation       the incarnation belongs to another service
    │   │   ├── ForeignService           an agent key was used for another service
    │   │   └── TooManyBeats             beats come faster than they are accepted
    │   ├── AccessError                  somebody may not do what they asked for
    │   │   ├── AdminKeyRefused          the admin key is missing or wrong
    │   │   ├── KeyMissing               a heartbeat came without a bearer key
    │   │   ├── KeyRefused               a heartbeat key that opens nothing
    │   │   └── RegistrationRefused      a registration that is not taken
    │   ├── ServerDidNotStart            a control plane in the background did not come up
    │   ├── TooManyStreams               as many as the server allows are watching already
    │   └── ReportError                  a question that has no answer
    │       ├── BadParameter             a query parameter that means nothing here
    │       ├── UnknownAgent             no service of that name is registered or has reported
    │       └── UnknownRun               no process has reported a run with that id
    ├── DemoError                        the demo cannot go on
    │   ├── NoEndpoint                   ``LIVE=1`` without the key of an endpoint
    │   ├── OverTheCap                   a live run spent more than it may and was stopped
    │   └── ProcessFailed                one of the demo's processes failed
    ├── UnfitValue                       a value that cannot be meant
    ├── MissingExtra                     an optional part was asked for and is not installed
    ├── MessageRefused                   a heartbeat that must not be stored
    ├── NoAnswer                         the request may or may not have been served
    ├── PlaintextRefused                 plain http would show the key to the network
    ├── UrlRefused                       the control plane's address cannot be used
    ├── LedgerError                      something is wrong with the books
    │   ├── JournalTooNew                a journal of a later format than this version reads
    │   ├── MalformedRecord              a journal line that is torn, damaged or no record
    │   └── NotAJournal                  a file without a journal's opening record
    ├── UnknownTelemetryOption           telemetry was asked for something that it does not have
    ├── ModelServerError                 the model server cannot do what it was asked for
    │   ├── ImpossibleScriptedUsage      a scripted usage that no provider could have billed
    │   ├── MalformedModelRequest        a request body that the provider would refuse
    │   ├── MalformedScript              a script has a value that cannot be played
    │   └── ModelServerNotRunning        the server has no address yet, or no longer
    └── UsageError                       a usage value that cannot exist
        ├── ImpossibleUsage              a part that is greater than its whole
        ├── MalformedCaller              a caller step that cannot be read
        └── MalformedUsage               a count that is no exact, non-negative integer

An error is a type with fields; its message is made in its class. Errors of other packages do not
cross a folder: they stand as the ``__cause__``. Domain errors know no HTTP status.
"""

from __future__ import annotations

from typing import Any


class TokenbeatError(Exception):
    """Something that Tokenbeat can name went wrong.

    Catch this to catch all of ours and nothing else. A subclass takes its fields as keyword
    arguments, keeps them as attributes and hands the finished message to this class.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields: keyword-only constructors otherwise break in a process pool."""
        return _restore, (type(self), self.args, dict(self.__dict__))


class MissingExtra(TokenbeatError):
    """Something was asked for that comes with an extra of this package, which is not installed.

    Raised at the door (a command, a factory), never while importing, from the ``ImportError``.

    Args:
        door: What was asked for, as the user wrote it: ``tokenbeat serve``.
        extra: The extra that brings it: ``server``.
    """

    def __init__(self, *, door: str, extra: str) -> None:
        super().__init__(f"{door} needs more packages: pip install 'tokenbeat[{extra}]'")
        self.door = door
        self.extra = extra


def _restore(
    kind: type[TokenbeatError], args: tuple[Any, ...], fields: dict[str, Any]
) -> TokenbeatError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
