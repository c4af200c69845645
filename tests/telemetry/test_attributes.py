"""An instrument never has more attribute sets than the SDK keeps apart."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tokenbeat import semconv
from tokenbeat.telemetry.attributes import AttributeSets, cell_attributes
from tokenbeat.usage.call import CellKey


def attributes(
    caller: str, extra: dict[str, Any] | None = None, *, model: str = "m"
) -> dict[str, Any]:
    key = CellKey("chat", "openai", model, None, "agent", f"tool:{caller}")
    return cell_attributes(key, incarnation="i") | (extra or {})


def test_the_first_sets_are_as_they_are_and_stay_so_for_ever() -> None:
    sets = AttributeSets("metric", most=2, most_with_other=3)
    assert sets.admit(attributes("a")) == attributes("a")
    assert sets.admit(attributes("b")) == attributes("b")
    assert sets.admit(attributes("c"))[semconv.CALLER] == "other"
    assert sets.admit(attributes("a")) == attributes("a")
    assert (len(sets), sets.folded) == (3, 1)


def test_a_folded_set_keeps_its_model_and_loses_what_can_be_anything() -> None:
    sets = AttributeSets("metric", most=0, most_with_other=9)
    folded = sets.admit(
        attributes("a", {"server.address": "h", "server.port": 1, "error.type": "E",
                           "gen_ai.token.type": "input"})
    )  # fmt: skip
    assert folded == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.token.type": "input",
        "error.type": "_OTHER",
        "tokenbeat.caller": "other",
        "tokenbeat.caller.type": "other",
        "tokenbeat.incarnation": "i",
    }


def test_in_the_end_only_what_has_a_closed_list_of_values_is_left() -> None:
    sets = AttributeSets("metric", most=0, most_with_other=1)
    for number in range(50):
        sets.admit(attributes("a", {"tokenbeat.outcome": "ok"}, model=f"m{number}"))
    assert len(sets) == 2
    last = sets.admit(attributes("a", {"tokenbeat.outcome": "ok"}, model="m99"))
    assert last == {
        "gen_ai.operation.name": "other",
        "gen_ai.provider.name": "other",
        "tokenbeat.caller": "other",
        "tokenbeat.caller.type": "other",
        "tokenbeat.incarnation": "i",
        "tokenbeat.outcome": "ok",
    }
    failed = sets.admit(attributes("a", {"error.type": "E"}, model="m99"))
    assert failed["error.type"] == "_OTHER"


def test_agents_and_tools_are_folded_by_their_names() -> None:
    sets = AttributeSets("metric", most=0)
    for name in ("gen_ai.agent.name", "gen_ai.workflow.name", "gen_ai.tool.name"):
        assert sets.admit({name: "x", "tokenbeat.incarnation": "i"})[name] == "other"


def test_folding_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sets = AttributeSets("metric", most=1)
    with caplog.at_level(logging.WARNING):
        for caller in "abcd":
            sets.admit(attributes(caller))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "metric" in caplog.text


@pytest.mark.parametrize("incarnation", ["i", None])
def test_an_incarnation_is_named_only_where_series_have_one(incarnation: str | None) -> None:
    key = CellKey("chat", "openai", None, None, None, "lead_agent")
    named = cell_attributes(key, incarnation=incarnation)
    assert named.get(semconv.INCARNATION) == incarnation
    assert None not in named.values()
