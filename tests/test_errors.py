"""Errors are types with fields, under one root."""

from __future__ import annotations

import pickle

import pytest

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
