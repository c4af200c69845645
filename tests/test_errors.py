"""Errors are types with fields, under one root."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from tokenbeat import errors
from tokenbeat.errors import MissingExtra, TokenbeatError


class TooMany(TokenbeatError):
    def __init__(self, *, part_tokens: int, whole_tokens: int) -> None:
        super().__init__(f"{part_tokens} of {whole_tokens}")
        self.part_tokens = part_tokens
        self.whole_tokens = whole_tokens


def test_fields_and_message_survive_the_way_to_another_process() -> None:
    back = pickle.loads(pickle.dumps(TooMany(part_tokens=7, whole_tokens=5)))  # noqa: S301 our own bytes
    assert (type(back), str(back)) == (TooMany, "7 of 5")
    assert (back.part_tokens, back.whole_tokens) == (7, 5)


def test_one_except_clause_catches_all_of_ours() -> None:
    with pytest.raises(TokenbeatError):
        raise TooMany(part_tokens=7, whole_tokens=5)


def test_a_missing_extra_is_a_sentence_that_can_be_followed() -> None:
    error = MissingExtra(door="tokenbeat serve", extra="server")
    assert str(error) == "tokenbeat serve needs more packages: pip install 'tokenbeat[server]'"


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    defined: dict[str, set[str]] = {}
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                defined.setdefault(node.name, set()).update(bases)
    ours = {"TokenbeatError"}
    while found := {name for name, bases in defined.items() if bases & ours} - ours:
        ours |= found
    drawn: set[tuple[str, str]] = set()
    above = ["TokenbeatError"]
    for indent, name in re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        above[depth + 1 :] = [name]
        drawn.add((above[depth], name))
    assert drawn == {(base, name) for name in ours for base in defined[name] & ours}
