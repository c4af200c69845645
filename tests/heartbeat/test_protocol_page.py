"""The protocol's page: its schema is the package's, its examples are true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tokenbeat.heartbeat.message import parse_heartbeat, schema

DOCS = Path(__file__).parents[2] / "docs"


def test_the_linked_schema_is_the_packages() -> None:
    text = (DOCS / "heartbeat.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == schema()


def test_the_worked_example_adds_up(new_receiver: Any) -> None:
    page = (DOCS / "heartbeat.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    messages = [block for block in blocks if '"tokenbeat"' in block]
    assert len(messages) == 2
    validator: Any = Draft202012Validator(schema())
    receiver = new_receiver()
    for message in messages:
        validator.validate(json.loads(message))
        parse_heartbeat(json.loads(message))
    assert json.loads(receiver.receive(messages[0].encode()).body)["revision"] == 6
    first = receiver.state["mfrggzdfmztwq2lk"]["buckets"]
    ends = [b["tokens.input"] for (_, ends_there, _), b in first.items() if ends_there]
    assert (ends, receiver.total("tokens.input")) == ([100], 290)
    receiver.receive(messages[1].encode())
    receiver.receive(messages[1].encode())
    assert receiver.total("tokens.input") == receiver.bucket_total("tokens.input") == 460
    assert receiver.total("tokens.output") == 92
