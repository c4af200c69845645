"""A journal is shown as the books that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.ledger.records import Opened, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_journal_shows_its_books(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(model="gpt-4o", caller="lead_agent", run="run-1", input_tokens=100)
    research.call(model="gpt-4o-mini", caller="lead_agent", run="run-1", input_tokens=20)
    research.ledger.anomaly("negative:input_tokens")
    research.ledger.reconcile("envelope_surplus", tokens=7)
    research.begin(model="gpt-4o", caller="lead_agent")

    shown = tokenbeat("journal", "show", research.path, "--json").json
    assert shown["incarnation"] == "a" * 16
    assert shown["service"] == "research"
    assert shown["startedAt"] == "2023-11-14T22:13:20.000Z"
    assert shown["living"] is True
    assert shown["open"] == 1
    assert shown["totals"]["tokens"]["total"] == 120
    assert [cell["responseModel"] for cell in shown["cells"]] == ["gpt-4o", "gpt-4o-mini"]
    assert [(run["run"], run["tokens"]["total"]) for run in shown["runs"]] == [("run-1", 120)]
    assert shown["anomalies"] == {"negative:input_tokens": 1}
    assert shown["reconciliations"] == {"envelope_surplus": 7}

    out = tokenbeat("journal", "show", research.path).out
    assert out.startswith(f"incarnation {'a' * 16} of research, living\n")
    assert "open calls 1, runs 1" in out
    assert "anomalies: negative:input_tokens 1" in out
    assert "reconciliations: envelope_surplus 7" in out
    research.die()
    assert tokenbeat("journal", "show", research.path).out.startswith(
        f"incarnation {'a' * 16} of research, ended\n"
    )


def test_a_damaged_journal_says_so(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(model="m", caller="lead_agent", input_tokens=5)
    research.die()
    opened, _, end = research.path.read_bytes().splitlines(keepends=True)
    research.path.write_bytes(opened + b"garbage\n" + end)
    assert "INCOMPLETE: damaged lines 1, missing records 1" in (
        tokenbeat("journal", "show", research.path).out
    )


def test_what_is_no_journal_is_refused(tokenbeat: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    done = tokenbeat("journal", "show", file)
    assert done.code == 1
    assert done.err == f"tokenbeat: {file}: does not begin with a journal's opening record\n"


def test_a_journal_of_a_later_format_names_both(
    tokenbeat: Callable[..., Any], agent: Callable[..., Any]
) -> None:
    research = agent()
    research.call(model="m", caller="lead_agent", input_tokens=5)
    research.die()
    later = encode(Opened("a" * 16, 0, "research", version=99))
    research.path.write_bytes(later)
    done = tokenbeat("journal", "show", research.path)
    assert done.code == 1
    assert "has journal format 99; this version reads up to 1" in done.err
