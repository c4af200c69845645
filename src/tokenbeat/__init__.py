"""Counts every token an agent system spends: once, by model and by caller.

The few names that an application needs. Importing this loads none of what they stand for: each is
fetched at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenbeat.agent import flush, start, stop
    from tokenbeat.attribution import caller, run

__all__ = ["caller", "flush", "run", "start", "stop"]

_HOMES = {
    "caller": "tokenbeat.attribution",
    "flush": "tokenbeat.agent",
    "run": "tokenbeat.attribution",
    "start": "tokenbeat.agent",
    "stop": "tokenbeat.agent",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 whatever the name stands for
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 a file system look-up that few need

        return version("tokenbeat")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
