"""The heartbeat as values, and the way to bytes and back.

This is the door that both ends use: the agent's sender and the control plane. It is plain Python
and imports neither OpenTelemetry nor pydantic. ``schema.json`` beside it says the same as a JSON
Schema (2020-12), for other languages; golden messages under ``tests/heartbeat/golden`` hold the two
together. What the fields mean is told in ``docs/heartbeat.md``.

Example:
    >>> body = encode(Heartbeat(health=Health({"status": "ready"}), gap=Gap({})))
    >>> parse_heartbeat(json.loads(body)).health.phase
    'Healthy'
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, cast

from tokenbeat.heartbeat.encoding import encode
from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.heartbeat.limits import MAX_CELLS, MAX_COUNT, MESSAGE_BYTES
from tokenbeat.heartbeat.names import service_name
from tokenbeat.heartbeat.parsing import MESSAGE_VERSION, parse_heartbeat
from tokenbeat.heartbeat.times import from_wire, to_wire
from tokenbeat.heartbeat.values import (
    Beat,
    Books,
    Cell,
    CutCells,
    Gap,
    Health,
    Heartbeat,
    ModelWindow,
    Phase,
    RunCells,
    Sender,
    Service,
    UsageWindow,
)

__all__ = [
    "MAX_CELLS",
    "MAX_COUNT",
    "MESSAGE_BYTES",
    "MESSAGE_VERSION",
    "Beat",
    "Books",
    "Cell",
    "CutCells",
    "Gap",
    "Health",
    "Heartbeat",
    "MessageRefused",
    "ModelWindow",
    "Phase",
    "RunCells",
    "Sender",
    "Service",
    "UsageWindow",
    "encode",
    "from_wire",
    "parse_heartbeat",
    "schema",
    "service_name",
    "to_wire",
]


def schema() -> dict[str, Any]:
    """The JSON Schema of a heartbeat, read from the package."""
    text = files("tokenbeat.heartbeat").joinpath("schema.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))
