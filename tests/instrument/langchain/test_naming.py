"""The rule that names callers, without any framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.attribution import open_scope
from tokenbeat.instrument.langchain.naming import (
    caller_labels,
    label_steps,
    node_step,
    place_chain,
    place_graph,
    place_node,
    place_tool,
)
from tokenbeat.usage.caller import UNATTRIBUTED, Caller, parse_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenbeat.attribution import Scope
    from tokenbeat.instrument.langchain.naming import Place


def around(path: str | None) -> Scope | None:
    if path is None:
        return None
    steps = tuple(parse_step(step) for step in path.split("/"))
    return open_scope(
        steps[-1].type, steps[-1].name, parent=None, base=UNATTRIBUTED, steps=steps, started_ns=1,
        announced=False,
    )  # fmt: skip


def path_of(place: Place) -> str:
    return Caller((*place.base.steps, *place.steps)).path


def graph(  # noqa: PLR0913 the rule looks at that much
    where: str | None,
    name: str,
    *,
    agent_name: str | None = None,
    agent_around: str | None = None,
    labels: Sequence[str] = (),
    labelled: bool = False,
) -> tuple[str | None, str, str | None]:
    place = place_graph(
        around(where), name=name, agent_name=agent_name, agent_around=agent_around, labels=labels,
        labelled_around=labelled,
    )  # fmt: skip
    return place.kind, path_of(place), place.agent


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (graph(None, "LangGraph"), ("workflow", "agent", "")),
        (graph(None, "planner"), ("lead_agent", "planner", "planner")),
        (graph(None, "run", agent_name="lead"), ("lead_agent", "lead", "lead")),
        (graph("chain:seq", "planner"), ("lead_agent", "planner", "planner")),
        (graph("tool:t", "planner"), ("lead_agent", "planner", "planner")),
        (
            graph("lead_agent/tool:ask", "researcher"),
            ("subagent", "lead_agent/subagent:researcher", "researcher"),
        ),
        (
            graph("lead_agent/tool:ask", "LangGraph", agent_name="lead", agent_around="lead"),
            ("subagent", "lead_agent/subagent:tool:ask", ""),
        ),
        (
            graph("lead_agent/tool:ask", "LangGraph", agent_name="sub", agent_around="lead"),
            ("subagent", "lead_agent/subagent:sub", "sub"),
        ),
        (
            graph("lead_agent/node:alice", "alice"),
            ("subagent", "lead_agent/subagent:alice", "alice"),
        ),
        (graph("lead_agent/node:n", "LangGraph"), ("workflow", "lead_agent/node:n", None)),
        (
            graph("subagent:x", "x", labelled=True),
            ("subagent", "subagent:x", "x"),
        ),
        (graph("subagent:x", "x"), ("subagent", "subagent:x/subagent:x", "x")),
        (
            graph(None, "LangGraph", labels=["subagent:research"]),
            ("subagent", "subagent:research", "research"),
        ),
        (graph("lead_agent", "LangGraph", labels=["lead_agent"]), ("workflow", "lead_agent", None)),
    ],
)
def test_where_a_graph_stands(
    told: tuple[str | None, str, str | None], expected: tuple[str, str, str | None]
) -> None:
    assert told == expected


@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        ("plan", "node", "lead_agent/node:plan"),
        ("model", None, "lead_agent"),
        ("tools", None, "lead_agent"),
        ("agent", None, "lead_agent"),
        ("__start__", None, "lead_agent"),
        ("Titles.before_model", "middleware", "lead_agent/middleware:Titles"),
        ("titles.after_agent", "middleware", "lead_agent/middleware:titles"),
        (".before_model", "node", "lead_agent/node:.before_model"),
        ("a.b", "node", "lead_agent/node:a.b"),
    ],
)
def test_where_a_node_stands(name: str, kind: str | None, path: str) -> None:
    place = place_node(around("lead_agent"), name=name, labels=())
    assert (place.kind, path_of(place)) == (kind, path)


def test_where_a_tool_stands() -> None:
    assert path_of(place_tool(None, name="t")) == "tool:t"
    assert path_of(place_tool(around("lead_agent/tool:a"), name="b")) == "lead_agent/tool:a/tool:b"


def test_where_a_chain_stands() -> None:
    assert path_of(place_chain(None, name="c", labels=())) == "chain:c"
    assert place_chain(around("lead_agent"), name="c", labels=()).kind is None
    labelled = place_chain(around("lead_agent"), name="c", labels=["subagent:r"])
    assert (labelled.kind, labelled.agent) == ("subagent", "r")
    assert path_of(labelled) == "lead_agent/subagent:r"


def test_the_tag_of_a_node() -> None:
    assert node_step(["seq:step:1"]) is None
    assert node_step(["mine", "graph:step:12"]) == 12
    assert node_step(["graph:step:odd"]) == 0


def test_tags_that_say_who_calls() -> None:
    tags = ["lead_agent", "subagent:a", "middleware:b", "subagent:", "tool:c", "leads", "x"]
    assert caller_labels(tags) == ("lead_agent", "subagent:a", "middleware:b")


def test_the_lead_is_never_below_anybody() -> None:
    lead = Caller((parse_step("lead_agent"),))
    assert label_steps(["lead_agent", "subagent:a"], below=lead) == (parse_step("subagent:a"),)
    assert label_steps(["lead_agent"], below=UNATTRIBUTED) == (parse_step("lead_agent"),)


names = st.text(min_size=1, max_size=80)


@given(names, st.sampled_from([None, "lead_agent", "lead_agent/tool:t", "chain:c", "helper:h"]))
def test_every_name_gives_a_path_of_allowed_characters(name: str, where: str | None) -> None:
    scope = around(where)
    places = [
        place_graph(
            scope, name=name, agent_name=None, agent_around=None, labels=(), labelled_around=False
        ),
        place_node(scope, name=name, labels=()),
        place_tool(scope, name=name),
        place_chain(scope, name=name, labels=()),
    ]
    for place in places:
        for step in Caller((*place.base.steps, *place.steps)).steps:
            assert 1 <= len(step.name) <= 64
            assert all(letter.isalnum() or letter in "_.:-" for letter in step.name)
