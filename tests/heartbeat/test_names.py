"""Names on the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.heartbeat.names import FORBIDDEN, SERVICE_PATTERN, service_name, wire_name

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)


@given(name=ANY_TEXT)
def test_any_name_fits_and_stays_the_same_when_named_again(name: str) -> None:
    named = wire_name(name)
    assert len(named) <= 256
    assert FORBIDDEN.search(named) is None
    assert wire_name(named) == named


@given(one=ANY_TEXT, other=ANY_TEXT)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert (wire_name(one) == wire_name(other)) is (one == other)


@given(name=ANY_TEXT)
def test_any_service_has_a_name_that_agentspec_takes(name: str) -> None:
    assert re.fullmatch(SERVICE_PATTERN, service_name(name))


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("research", "research"),
        ("Research_Agent (EU)", "research-agent-eu"),
        ("7", "7"),
        ("--a--", "a"),
        ("", "unknown-service"),
        ("研究", "unknown-service"),
        ("unknown_service:python", "unknown-service-python"),
        ("a" * 63, "a" * 63),
    ],
)
def test_a_service_is_named_so(name: str, service: str) -> None:
    assert service_name(name) == service


def test_long_services_that_differ_at_their_end_stay_two() -> None:
    one, other = service_name("a" * 80 + "1"), service_name("a" * 80 + "2")
    assert len(one) == len(other) == 63
    assert one != other
