"""Reports as text that is readable on 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADINGS = {
    "requestModel": "model asked",
    "responseModel": "model answered",
    "callerType": "caller type",
}


def print_report(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Prints the rows with their sums, and below them what the sums leave out."""
    screen = console or Console(highlight=False, soft_wrap=False)
    rows = cast("list[dict[str, Any]]", report["rows"])
    totals = cast("dict[str, Any]", report["totals"])
    by = cast("list[str]", report["by"])
    if not totals["calls"]["finished"] and not totals["failedAttempts"]:
        screen.print(_nothing(report))
        return
    table = figures_table([_HEADINGS.get(name, name) for name in by])
    for row in rows:
        table.add_row(*[plain(row.get(name)) for name in by], *_numbers(row))
    hidden = int(report.get("rowCount", len(rows))) - len(rows)
    if hidden > 0:
        told = [Text(f"… {hidden:,} more"), *[Text()] * (len(by) - 1)]
        table.add_row(*told, *_numbers(report["rest"]))
    table.add_section()
    table.add_row(Text("total"), *[Text()] * (len(by) - 1), *_numbers(totals), style="bold")
    screen.print(table)
    for line in _remarks(report):
        screen.print(Text(line))


def figures_table(headings: Iterable[str]) -> Table:
    """A table whose first columns may wrap and whose numbers never do."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in headings:
        table.add_column(heading, overflow="fold", min_width=8)
    for heading in ("calls", "input", "output", "total"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def plain(value: object) -> Text:
    """A name as it may stand on a terminal: no markup, no control characters."""
    if value is None:
        return Text("-", style="dim")
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def _numbers(row: Mapping[str, Any]) -> list[Text]:
    tokens = row["tokens"]
    counts = (row["calls"]["finished"], tokens["input"], tokens["output"], tokens["total"])
    return [Text(f"{count:,}") for count in counts]


def _nothing(report: Mapping[str, Any]) -> Text:
    about = cast("Mapping[str, Any] | None", report.get("journals"))
    if about is None:
        return Text("No calls yet.")
    return Text(f"No calls in the journals of {about['folder']}.")


def _remarks(report: Mapping[str, Any]) -> list[str]:
    totals = cast("dict[str, Any]", report["totals"])
    calls, tokens = totals["calls"], totals["tokens"]
    inside = [
        f"{tokens[name]:,} {words}"
        for name, words in (
            ("cacheRead", "input read from cache"),
            ("cacheWrite", "input written to cache"),
            ("reasoning", "output for reasoning"),
        )
        if tokens[name]
    ]
    beside = [
        f"{count:,} {words}"
        for count, words in (
            (tokens["unclassified"], "tokens neither input nor output, in total"),
            (calls["unknownUsage"], "calls of unknown usage"),
            (calls["partial"], "calls of partial usage"),
            (calls["cached"], "responses of a local cache, not billed"),
            (totals["failedAttempts"], "failed attempts, not billed"),
            (report["unattributed"]["calls"], "calls that no caller is known for"),
        )
        if count
    ]
    lines = [f"of that: {', '.join(inside)}"] if inside else []
    lines += [f"also: {', '.join(beside)}"] if beside else []
    return lines + _sources(report)


def _sources(report: Mapping[str, Any]) -> list[str]:
    about = cast("Mapping[str, Any] | None", report.get("journals"))
    since, last = report.get("since"), report.get("lastSeen")
    when = f"from {_short(since)} to {_short(last)}" if since and last else ""
    if about is None:
        return [when] if when else []
    dead = about["incarnations"] - about["living"]
    lines = [
        f"{about['living']:,} living and {dead:,} ended processes, {about['open']:,} open calls, "
        f"{when}"
    ]
    if about["damagedLines"] or about["missingRecords"] or about["unreadable"]:
        lines.append(
            f"INCOMPLETE: {about['damagedLines']:,} damaged lines, {about['missingRecords']:,} "
            f"missing records, {len(about['unreadable']):,} unreadable files"
        )
    return lines


def _short(moment: object) -> str:
    return str(moment).replace("T", " ")[:16] + "Z"
