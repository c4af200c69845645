"""Models keep both names and roll up to their family."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.usage.call import CellKey, model_family, rolled_up_model


def key(requested: str | None, answered: str | None) -> CellKey:
    return CellKey("chat", "openai", requested, answered, None, "lead_agent")


@pytest.mark.parametrize(
    ("requested", "answered", "rolled_up"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o", "gpt-4o", "gpt-4o"),
        ("gpt-4o", None, "gpt-4o"),
        ("alias", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-4o-2024-08-06", None, "gpt-4o"),
        (None, None, "unknown"),
        ("", "", "unknown"),
        ("gpt-x", "", "gpt-x"),
    ],
)
def test_the_answered_name_comes_first_and_dates_roll_up(
    requested: str | None, answered: str | None, rolled_up: str
) -> None:
    assert rolled_up_model(key(requested, answered)) == rolled_up


@pytest.mark.parametrize("model", ["llama-3.1-70b", "o1", "text-embedding-3-small", "gpt-4-0613"])
def test_numbers_that_are_no_date_stay(model: str) -> None:
    assert model_family(model) == model


@given(st.text(min_size=1), st.dates())
def test_a_date_never_changes_the_family(name: str, date: object) -> None:
    family = model_family(name)
    assert family
    assert model_family(f"{family}-{date}") in {family, model_family(family)}
