"""For everyone who tests what their agents spend: a model server with scripted usage, and fixtures.

The server needs the extra ``testing``; importing this package alone loads nothing of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tokenbeat.errors import MissingExtra

if TYPE_CHECKING:
    from tokenbeat.testing.answer import Answer, Failure, ToolCall, Usage
    from tokenbeat.testing.bill import Bill, BillEntry, BillTotal, RefusedRequest
    from tokenbeat.testing.script import Rule, Script
    from tokenbeat.testing.script_json import script_as_json, script_from_json
    from tokenbeat.testing.serving import ModelServer
    from tokenbeat.testing.spent import Spending, spending

__all__ = [
    "Answer",
    "Bill",
    "BillEntry",
    "BillTotal",
    "Failure",
    "ModelServer",
    "RefusedRequest",
    "Rule",
    "Script",
    "Spending",
    "ToolCall",
    "Usage",
    "script_as_json",
    "script_from_json",
    "spending",
]

_MODULES = {
    "Answer": "answer",
    "Bill": "bill",
    "BillEntry": "bill",
    "BillTotal": "bill",
    "Failure": "answer",
    "ModelServer": "serving",
    "RefusedRequest": "bill",
    "Rule": "script",
    "Script": "script",
    "Spending": "spent",
    "ToolCall": "answer",
    "Usage": "answer",
    "script_as_json": "script_json",
    "script_from_json": "script_json",
    "spending": "spent",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for.

    Raises:
        MissingExtra: What it needs comes with the extra ``testing``, which is not installed.
    """
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        raise MissingExtra(door=f"{__name__}.{name}", extra="testing") from error
