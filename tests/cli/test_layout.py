"""Text is readable on 80 columns, whatever the names and numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

DEEP = "lead_agent/subagent:researcher/middleware:summarize-the-conversation"


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if line.strip("─ ")]


def test_a_report_that_fits_is_a_table(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(
        model="gpt-4o",
        caller="lead_agent",
        input_tokens=1_234_567,
        output_tokens=89,
        cache_read_tokens=1_000_000,
        cache_write_tokens=3,
        reasoning_tokens=5,
    )
    research.call(model="m", caller="lead_agent/tool:search", unclassified_tokens=342)
    research.call(model="m", caller="unattributed", input_tokens=1)
    research.clock.advance(2_000_000_000)
    research.ledger.snapshot()  # lets the call that waited for its caller be entered
    out = tokenbeat("usage").out
    assert max(map(len, out.splitlines())) <= 80
    assert rows(out) == [
        ["model", "caller", "calls", "input", "output", "total"],
        ["gpt-4o", "lead_agent", "1", "1,234,567", "89", "1,234,656"],
        ["m", "lead_agent/tool:search", "1", "0", "0", "342"],
        ["m", "unattributed", "1", "1", "0", "1"],
        ["total", "3", "1,234,568", "89", "1,234,999"],
        ["of", "input:", "1,000,000", "read", "from", "cache,", "3", "written", "to", "cache"],
        ["of", "output:", "5", "for", "reasoning"],
        ["of", "total:", "342", "neither", "input", "nor", "output"],
        ["of", "calls:", "1", "without", "a", "known", "caller"],
        ["seen:", "2023-11-14", "22:13Z", "to", "2023-11-14", "22:13Z"],
        ["processes:", "1", "living,", "0", "ended;", "open", "calls:", "0"],
    ]


def test_a_name_that_does_not_fit_stands_above_its_numbers(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(model="claude-sonnet-4-5", caller=DEEP, input_tokens=123_456_789)
    research.call(model="m", caller="lead_agent", input_tokens=1)
    out = tokenbeat("usage").out
    assert max(map(len, out.splitlines())) <= 80
    assert rows(out)[1:5] == [
        ["claude-sonnet-4-5"],
        [DEEP],
        ["1", "123,456,789", "0", "123,456,789"],
        ["m", "lead_agent", "1", "1", "0", "1"],
    ]


def test_a_wide_screen_is_used(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    agent().call(model="m", caller=DEEP, input_tokens=123_456_789)
    out = tokenbeat("usage").out
    assert ["m", DEEP, "1", "123,456,789", "0", "123,456,789"] in rows(out)


def test_names_are_no_markup_and_move_no_cursor(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    agent().call(model="[red]m[/]\x1b[2J\n", caller="lead_agent", input_tokens=1)
    out = tokenbeat("usage").out
    assert "\x1b" not in out
    assert rows(out)[1] == ["[red]m[/]\ufffd[2J\ufffd", "lead_agent", "1", "1", "0", "1"]


def test_what_nobody_said_is_a_dash(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    agent().call(model="m", caller="lead_agent", input_tokens=1)
    out = tokenbeat("usage", "--by", "agent,requestModel,responseModel,callerType").out
    assert rows(out)[0][:7] == ["agent", "model", "asked", "model", "answered", "caller", "type"]
    assert rows(out)[1][:4] == ["-", "m", "m", "lead_agent"]
