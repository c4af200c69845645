"""A caller's path says who called, and reads back as what it was."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage.caller import (
    MAX_STEPS,
    NAME_LENGTH,
    STEP_TYPES,
    UNATTRIBUTED,
    Caller,
    CallerStep,
    caller_bucket,
    caller_type,
    parse_step,
    step_name,
)
from tokenbeat.usage.errors import MalformedCaller

STEPS = st.builds(
    CallerStep,
    st.sampled_from(sorted(STEP_TYPES)),
    st.text(min_size=1, max_size=80),
    st.integers(1, 3),
)


def lead() -> Caller:
    return Caller().child("lead_agent", "lead_agent")


def test_a_path_names_its_steps() -> None:
    caller = lead().child("subagent", "researcher").child("middleware", "summarize")
    assert caller.path == "lead_agent/subagent:researcher/middleware:summarize"
    assert caller.type == "middleware"
    assert caller == Caller(caller.steps)


def test_instances_show_in_their_own_path_only() -> None:
    caller = lead().child("subagent", "researcher", instance=2).child("tool", "search")
    assert caller.path == "lead_agent/subagent:researcher/tool:search"
    assert caller.instance_path == "lead_agent/subagent:researcher#2/tool:search"
    assert lead().instance_path == "lead_agent"


def test_nobody_is_unattributed_and_never_the_lead() -> None:
    assert UNATTRIBUTED.path == UNATTRIBUTED.instance_path == UNATTRIBUTED.type == "unattributed"
    assert caller_type("unattributed") == "unattributed"
    assert caller_bucket("unattributed") == "unattributed"
    assert caller_bucket("other") == "unattributed"
    assert caller_type("other") == "other"
    for name in ("unattributed", "other"):
        assert Caller().child("lead_agent", name).path == f"lead_agent:{name}"


@pytest.mark.parametrize(
    ("path", "last", "bucket"),
    [
        ("lead_agent", "lead_agent", "lead_agent"),
        ("planner", "lead_agent", "lead_agent"),
        ("lead_agent/subagent:research", "subagent", "subagent"),
        ("lead_agent/subagent:research#2", "subagent", "subagent"),
        ("lead_agent/middleware:title", "middleware", "middleware"),
        ("lead_agent/subagent:research/middleware:summarize", "middleware", "subagent"),
        ("lead_agent/tool:search", "tool", "lead_agent"),
        ("remote:peer/helper:x", "helper", "lead_agent"),
    ],
)
def test_types_and_buckets_are_read_from_the_path(path: str, last: str, bucket: str) -> None:
    assert caller_type(path) == last
    assert caller_bucket(path) == bucket


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("subagent:researcher", CallerStep("subagent", "researcher")),
        ("middleware:title", CallerStep("middleware", "title")),
        ("lead_agent", CallerStep("lead_agent", "lead_agent")),
        ("billing", CallerStep("helper", "billing")),
        ("team:billing", CallerStep("helper", "team:billing")),
    ],
)
def test_a_step_is_read_from_what_a_user_writes(text: str, step: CallerStep) -> None:
    assert parse_step(text) == step


@pytest.mark.parametrize("text", ["", "subagent:"])
def test_a_step_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(MalformedCaller) as caught:
        parse_step(text)
    assert caught.value.value is not None


def test_a_step_of_no_known_type_or_instance_is_refused() -> None:
    with pytest.raises(MalformedCaller):
        CallerStep("boss", "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(MalformedCaller):
        CallerStep("tool", "x", 0)


def test_names_that_differ_only_in_what_is_cleaned_away_stay_two() -> None:
    assert step_name("good-name_1.2:3") == "good-name_1.2:3"
    assert step_name("a b") != step_name("a/b") != step_name("a_b")
    long = "n" * 100
    assert step_name(long) != step_name(long + "n")
    assert len(step_name(long)) == NAME_LENGTH


def test_a_path_has_a_bound() -> None:
    caller = lead()
    for number in range(40):
        caller = caller.child("node", f"n{number}")
    assert len(caller.steps) == MAX_STEPS
    assert caller.path.count("/") == MAX_STEPS - 1


@given(STEPS)
def test_a_step_reads_back_from_its_path(step: CallerStep) -> None:
    assert re.fullmatch(r"[\w.:-]{1,64}", step.name)
    printed = str(step)
    if step.type == "lead_agent":
        assert caller_type(printed) == "lead_agent"
    else:
        assert parse_step(printed) == CallerStep(step.type, step.name)


@given(st.lists(STEPS, min_size=1, max_size=MAX_STEPS))
def test_a_path_reads_back_step_by_step(steps: list[CallerStep]) -> None:
    caller = Caller(tuple(steps))
    printed = caller.path.split("/")
    assert [caller_type(step) for step in printed] == [step.type for step in steps]
    assert caller_type(caller.path) == caller_type(caller.instance_path) == caller.type
    assert caller_bucket(caller.path) == caller_bucket(caller.instance_path)
    types = {step.type for step in steps}
    assert (caller_bucket(caller.path) == "subagent") == ("subagent" in types)
