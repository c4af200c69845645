"""Without a server the journals of this machine tell what was spent."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

LEAD = "lead_agent"
RESEARCHER = "lead_agent/subagent:researcher"


def tokens(report: dict[str, Any], *names: str) -> dict[tuple[str, ...], int]:
    return {tuple(row[n] for n in names): row["tokens"]["total"] for row in report["rows"]}


def test_living_and_ended_processes_add_up(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    living, ended = agent(incarnation="a" * 16), agent(incarnation="b" * 16)
    living.call(model="gpt-4o-2024-08-06", caller=LEAD, input_tokens=100, output_tokens=20)
    living.call(model="claude", caller=RESEARCHER, input_tokens=7)
    ended.call(model="gpt-4o", caller=LEAD, input_tokens=1_000, output_tokens=3)
    ended.call(model="gpt-4o", caller=LEAD)
    ended.die()

    report = tokenbeat("usage", "--json").json
    assert tokens(report, "model", "caller") == {("gpt-4o", LEAD): 1_123, ("claude", RESEARCHER): 7}
    assert [row["model"] for row in report["rows"]] == ["gpt-4o", "claude"]
    assert report["totals"]["tokens"]["total"] == 1_130
    assert report["totals"]["calls"]["finished"] == 4
    assert report["totals"]["calls"]["unknownUsage"] == 1
    assert report["journals"] | {"folder": ""} == {
        "folder": "",
        "incarnations": 2,
        "living": 1,
        "open": 0,
        "damagedLines": 0,
        "missingRecords": 0,
        "unreadable": {},
    }

    report = tokenbeat("usage", "--json", "--by", "incarnation").json
    assert tokens(report, "incarnation") == {("a" * 16,): 127, ("b" * 16,): 1_003}


def test_one_service_can_be_asked_for_under_either_of_its_names(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    agent("Research_Agent").call(model="m", caller=LEAD, input_tokens=5)
    agent("other", "b" * 16).call(model="m", caller=LEAD, input_tokens=70)
    for name in ("Research_Agent", "research-agent"):
        report = tokenbeat("usage", "--service", name, "--json").json
        assert report["service"] == "research-agent"
        assert report["totals"]["tokens"]["total"] == 5
    report = tokenbeat("usage", "--by", "service", "--json").json
    assert tokens(report, "service") == {("other",): 70, ("research-agent",): 5}
    assert tokenbeat("usage", "--service", "nobody", "--json").json["rows"] == []


def test_an_open_call_is_open_while_its_process_lives_and_unfinished_after(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(model="m", caller=LEAD, input_tokens=5)
    research.begin(model="m", caller=LEAD)
    report = tokenbeat("usage", "--json").json
    assert report["journals"]["open"] == 1
    assert report["totals"]["calls"]["finished"] == 1
    research.die()
    report = tokenbeat("usage", "--json").json
    assert report["journals"]["open"] == 0
    assert report["totals"]["calls"]["unfinished"] == 1
    assert report["totals"]["calls"]["unknownUsage"] == 1
    assert report["totals"]["tokens"]["total"] == 5


def test_a_held_call_of_a_process_that_died_is_counted(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    framework = research.begin(model="m", caller=LEAD, source="framework", token=CallToken())
    wire = research.begin(model="m", caller="unattributed")
    research.ledger.end(wire, outcome="ok", usage=TokenUsage(input_tokens=9, output_tokens=1))
    report = tokenbeat("usage", "--json").json
    assert report["totals"]["tokens"]["total"] == 0
    assert report["journals"]["open"] == 2
    research.die()
    report = tokenbeat("usage", "--json").json
    assert report["totals"]["tokens"]["total"] == 10
    assert report["unattributed"] == {"calls": 1, "tokens": 10}
    assert report["totals"]["calls"]["unfinished"] == 1
    assert framework.open


def test_a_killed_process_has_lost_nothing(tokenbeat: Callable[..., Any], spool: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.journal import FileJournal
from tokenbeat.usage.caller import UNATTRIBUTED, Caller
from tokenbeat.usage.tokens import TokenUsage
journal = FileJournal(
    Path({str(spool)!r}, "killed", "c" * 16 + ".1.journal"),
    incarnation="c" * 16, service="killed", started_ns=SYSTEM_CLOCK.wall_ns(),
)
ledger = Ledger(incarnation="c" * 16, clock=SYSTEM_CLOCK, journal=journal)
lead = Caller().child("lead_agent", "lead_agent")
for _ in range(100):
    report = ledger.start(
        source="test", operation="chat", provider="openai", request_model="m", caller=lead
    )
    ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=7))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    report = tokenbeat("usage", "--json").json
    assert report["totals"]["tokens"]["input"] == 700
    assert report["journals"]["living"] == 0


def test_what_cannot_be_read_is_named_and_the_rest_counts(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any], spool: Path
) -> None:
    research = agent()
    research.call(model="m", caller=LEAD, input_tokens=5)
    research.call(model="m", caller=LEAD, input_tokens=6)
    research.die()
    lines = research.path.read_bytes().splitlines(keepends=True)
    damaged = [*lines[:2], lines[2][:9] + b"x" + lines[2][10:], *lines[3:]]
    research.path.write_bytes(b"".join(damaged))
    strange = spool / "research" / "strange.1.journal"
    strange.write_text("not a journal\n")
    (spool / "research" / "new.1.journal").touch()
    (spool / "research" / "folder.1.journal").mkdir()

    done = tokenbeat("usage", "--json")
    assert done.code == 0
    assert done.json["totals"]["tokens"]["total"] == 6
    assert done.json["journals"]["damagedLines"] == 1
    assert done.json["journals"]["missingRecords"] == 1
    assert done.json["journals"]["unreadable"] == {
        str(spool / "research" / "folder.1.journal"): "Is a directory",
        str(strange): "does not begin with a journal's opening record",
    }
    assert f"tokenbeat: {strange}: does not begin with" in done.err
    assert "INCOMPLETE: damaged lines 1, missing records 1, unreadable files 2" in (
        tokenbeat("usage").out
    )


def test_a_living_journal_is_read_up_to_the_first_gap(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    for count in (5, 6, 7):
        research.call(model="m", caller=LEAD, input_tokens=count)
    lines = research.path.read_bytes().splitlines(keepends=True)
    # Opened, then start and end of each call: without the second end, the third call may be early.
    research.path.write_bytes(b"".join(lines[:4] + lines[5:]))
    assert tokenbeat("usage", "--json").json["totals"]["tokens"]["total"] == 5
    research.die()
    assert tokenbeat("usage", "--json").json["totals"]["tokens"]["total"] == 12


def test_nothing_is_told_as_nothing(tokenbeat: Callable[..., Any], spool: Path) -> None:
    done = tokenbeat("usage")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"No calls in the journals of {spool}.\n"
    assert tokenbeat("usage", "--json").json["totals"]["tokens"]["total"] == 0


def test_the_spool_can_be_named(
    tokenbeat: Callable[..., Any],
    agent: Callable[..., Any],
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent().call(model="m", caller=LEAD, input_tokens=5)
    monkeypatch.setenv("XDG_STATE_HOME", "/nowhere")
    assert tokenbeat("usage", "--json").json["rows"] == []
    assert tokenbeat("usage", "--json", "--spool-dir", spool).json["totals"]["tokens"]["total"] == 5
    monkeypatch.setenv("TOKENBEAT_SPOOL_DIR", str(spool))
    assert tokenbeat("usage", "--json").json["totals"]["tokens"]["total"] == 5


def test_reading_does_not_disturb_the_one_who_writes(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    for count in range(1, 4):
        research.call(model="m", caller=LEAD, input_tokens=count)
        tokenbeat("usage")
        tokenbeat("journal", "show", research.path)
    assert not research.ledger.snapshot().books.degraded
    assert tokenbeat("usage", "--json").json["totals"]["tokens"]["total"] == 6
