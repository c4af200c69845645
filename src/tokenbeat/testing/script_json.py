"""A script's JSON form, for a model server in a process of its own.

The members are the fields of ``Script``, ``Rule``, ``Answer``, ``Usage``, ``ToolCall`` and
``Failure``, under their Python names. An unknown member is an error: a misspelled condition would
otherwise match everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from tokenbeat.testing.answer import Answer, Failure, ToolCall, Usage
from tokenbeat.testing.errors import MalformedScript
from tokenbeat.testing.script import Rule, Script

_Value = TypeVar("_Value")
_Read = Callable[[object, str], Any]


def script_from_json(document: object) -> Script:
    """Read a script.

    Args:
        document: what ``json.load`` returned.

    Raises:
        MalformedScript: a member is unknown or of the wrong type; the error has its path.
        ImpossibleScriptedUsage: a usage that nobody could be billed.
    """
    return _script(document, "$")


def script_as_json(script: Script) -> dict[str, Any]:
    """Write a script; ``script_from_json`` reads an equal one from the result."""
    return cast("dict[str, Any]", _plain(script))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((one, getattr(value, one.name)) for one in dataclasses.fields(value))
        return {
            one.name: _plain(member)
            for one, member in members
            if member not in (None, (), one.default)
        }
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, tuple):
        return [_plain(member) for member in cast("tuple[object, ...]", value)]
    return value


def _of(kinds: tuple[type, ...], what: str) -> _Read:
    def read(value: object, path: str) -> object:
        if type(value) not in kinds:  # not isinstance: true is no number
            raise MalformedScript(field=path, problem=f"{value!r} is not {what}")
        return value

    return read


def _one_of(*choices: str) -> _Read:
    def read(value: object, path: str) -> object:
        if value not in choices:
            raise MalformedScript(field=path, problem=f"{value!r} is not one of {choices}")
        return value

    return read


def _many(read_one: _Read) -> _Read:
    def read(value: object, path: str) -> object:
        if not isinstance(value, list):
            raise MalformedScript(field=path, problem=f"{value!r} is not an array")
        members = cast("list[object]", value)
        return tuple(read_one(one, f"{path}[{place}]") for place, one in enumerate(members))

    return read


def _record(kind: Callable[..., _Value], members: Mapping[str, _Read]) -> Callable[..., _Value]:
    def read(value: object, path: str) -> _Value:
        if not isinstance(value, dict):
            raise MalformedScript(field=path, problem=f"{value!r} is not an object")
        given: dict[str, Any] = {}
        for name, member in cast("dict[str, object]", value).items():
            if name not in members:
                raise MalformedScript(field=f"{path}.{name}", problem="unknown")
            given[name] = members[name](member, f"{path}.{name}")
        try:
            return kind(**given)
        except TypeError as error:
            raise MalformedScript(field=path, problem=str(error)) from error

    return read


_text = _of((str,), "a string")
_count = _of((int,), "an integer")
_seconds = _of((int, float), "a number")
_truth = _of((bool,), "true or false")
_object = _of((dict,), "an object")

_usage = _record(Usage, {one.name: _count for one in dataclasses.fields(Usage)})
_tool_call = _record(ToolCall, {"name": _text, "arguments": _object})
_failure = _record(
    Failure,
    {
        "status": _count,
        "message": _text,
        "type": _text,
        "code": _text,
        "headers": _object,
        "after_chunks": _count,
    },
)
_answer = _record(
    Answer,
    {
        "text": _text,
        "tool_calls": _many(_tool_call),
        "usage": _usage,
        "model": _text,
        "response_id": _text,
        "finish_reason": _text,
        "chunks": _count,
        "delay_s": _seconds,
        "chunk_delay_s": _seconds,
        "pause_after_chunks": _count,
        "cut_after_chunks": _count,
        "fail": _failure,
        "tells_usage": _truth,
        "usage_as_sent": _object,
    },
)
_rule = _record(
    Rule,
    {
        "answers": _many(_answer),
        "afterwards": _one_of("repeat_last", "start_over", "next_rule"),
        "label": _text,
        "model": _text,
        "api": _one_of(
            "openai.chat_completions",
            "openai.responses",
            "openai.completions",
            "openai.embeddings",
            "anthropic.messages",
        ),
        "operation": _one_of("chat", "text_completion", "embeddings"),
        "system_contains": _text,
        "last_contains": _text,
        "after_tool": _truth,
        "turn": _count,
        "stream": _truth,
    },
)
_script = _record(
    Script,
    {"rules": _many(_rule), "queue": _many(_answer), "default": _answer, "seed": _count},
)
