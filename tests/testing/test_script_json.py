"""A script's JSON form: what is written is read again, what is wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenbeat.testing import (
    Answer,
    Failure,
    Rule,
    Script,
    ToolCall,
    Usage,
    script_as_json,
    script_from_json,
)
from tokenbeat.testing.errors import ImpossibleScriptedUsage, MalformedScript

_counts = st.integers(min_value=0, max_value=9)
_text = st.text(max_size=5)
_arguments: st.SearchStrategy[dict[str, object]] = st.dictionaries(_text, _counts | _text)
_usages = st.builds(
    Usage,
    input_tokens=st.integers(min_value=40, max_value=10**6),
    output_tokens=st.integers(min_value=20, max_value=10**6),
    cache_read_tokens=_counts,
    cache_write_1h_tokens=_counts,
    reasoning_tokens=_counts,
)
_failures = st.builds(
    Failure,
    status=st.integers(min_value=400, max_value=599),
    headers=st.dictionaries(_text, _text, max_size=2),
    after_chunks=st.none() | _counts,
)
_answers = st.builds(
    Answer,
    text=st.none() | _text,
    tool_calls=st.lists(st.builds(ToolCall, name=_text, arguments=_arguments)).map(tuple),
    usage=st.none() | _usages,
    fail=st.none() | _failures,
    chunks=st.integers(min_value=1, max_value=9),
    delay_s=st.floats(min_value=0, max_value=1),
    tells_usage=st.booleans(),
    cut_after_chunks=st.none() | _counts,
)
_rules = st.builds(
    Rule,
    answers=st.lists(_answers, max_size=2).map(tuple),
    label=st.none() | _text,
    after_tool=st.none() | st.booleans(),
    turn=st.none() | _counts,
    afterwards=st.sampled_from(["repeat_last", "start_over", "next_rule"]),
)
_scripts = st.builds(
    Script,
    rules=st.lists(_rules, max_size=2).map(tuple),
    queue=st.lists(_answers, max_size=2).map(tuple),
    default=_answers,
    seed=st.integers(),
)


@settings(max_examples=50)
@given(_scripts)
def test_what_is_written_is_read_again(script: Script) -> None:
    assert script_from_json(json.loads(json.dumps(script_as_json(script)))) == script


_MISTAKES: list[tuple[Any, str]] = [
    ([], "$"),
    ({"rule": []}, "$.rule"),
    ({"rules": {}}, "$.rules"),
    ({"rules": [{"modell": "m"}]}, "$.rules[0].modell"),
    ({"rules": [{"answers": [{"text": 1}]}]}, "$.rules[0].answers[0].text"),
    ({"rules": [{"api": "openai"}]}, "$.rules[0].api"),
    ({"queue": [{"chunks": True}]}, "$.queue[0].chunks"),
    ({"queue": [{"tool_calls": [{}]}]}, "$.queue[0].tool_calls[0]"),
    ({"default": {"fail": {"status": "500"}}}, "$.default.fail.status"),
]


@pytest.mark.parametrize(("document", "field"), _MISTAKES)
def test_a_mistake_is_named_by_its_path(document: Any, field: str) -> None:
    with pytest.raises(MalformedScript) as caught:
        script_from_json(document)

    assert caught.value.field == field


def test_an_impossible_usage_is_named() -> None:
    with pytest.raises(ImpossibleScriptedUsage):
        script_from_json({"queue": [{"usage": {"output_tokens": 1, "reasoning_tokens": 2}}]})
