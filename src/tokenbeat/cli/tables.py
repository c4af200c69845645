"""A report as text: its rows, their sums, and what the sums are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from rich.console import Console
from rich.text import Text

from tokenbeat.cli.layout import plain, print_rows, row

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADINGS: Final = {
    "requestModel": "model asked",
    "responseModel": "model answered",
    "callerType": "caller type",
}


def print_report(report: Mapping[str, Any]) -> None:
    """Prints a report of the control plane or of the journals."""
    screen = Console(highlight=False)
    rows = cast("list[dict[str, Any]]", report["rows"])
    totals = cast("dict[str, Any]", report["totals"])
    by = cast("list[str]", report["by"])
    if totals["calls"]["finished"] or totals["failedAttempts"]:
        told = [row([one.get(name) for name in by], one) for one in rows]
        hidden = int(report["rowCount"]) - len(rows)
        if hidden > 0:
            told.append(row([f"({hidden:,} more)"], report["rest"]))
        headings = [_HEADINGS.get(name, name) for name in by]
        print_rows(screen, headings, told, total=row(["total"], totals))
        for line in _remarks(report):
            screen.print(Text(line))
    else:
        about = cast("Mapping[str, Any] | None", report.get("journals"))
        where = f" in the journals of {about['folder']}" if about else " yet"
        screen.print(plain(f"No calls{where}."), soft_wrap=True)
    for line in _sources(report):
        screen.print(Text(line))


def _remarks(report: Mapping[str, Any]) -> list[str]:
    totals = cast("dict[str, Any]", report["totals"])
    calls, tokens = totals["calls"], totals["tokens"]
    told = (
        ("of input", tokens["cacheRead"], "read from cache"),
        ("of input", tokens["cacheWrite"], "written to cache"),
        ("of output", tokens["reasoning"], "for reasoning"),
        ("of total", tokens["unclassified"], "neither input nor output"),
        ("of calls", calls["unknownUsage"], "of unknown usage"),
        ("of calls", calls["partial"], "of partial usage"),
        ("of calls", report["unattributed"]["calls"], "without a known caller"),
        ("of calls", calls["cached"], "answered by a local cache, not billed"),
        ("besides", totals["failedAttempts"], "attempts that failed, not billed"),
    )
    lines: dict[str, list[str]] = {}
    for of, count, words in told:
        if count:
            lines.setdefault(of, []).append(f"{count:,} {words}")
    return [f"{of}: {', '.join(parts)}" for of, parts in lines.items()]


def _sources(report: Mapping[str, Any]) -> list[str]:
    about = cast("Mapping[str, Any] | None", report.get("journals"))
    since, last = report.get("since"), report.get("lastSeen")
    lines = [f"seen: {_short(since)} to {_short(last)}"] if since and last else []
    if about is None:
        return lines
    if about["incarnations"]:
        dead = about["incarnations"] - about["living"]
        lines.append(
            f"processes: {about['living']:,} living, {dead:,} ended; open calls: {about['open']:,}"
        )
    if about["damagedLines"] or about["missingRecords"] or about["unreadable"]:
        lines.append(
            f"INCOMPLETE: damaged lines {about['damagedLines']:,}, missing records "
            f"{about['missingRecords']:,}, unreadable files {len(about['unreadable']):,}"
        )
    return lines


def _short(moment: object) -> str:
    return str(moment).replace("T", " ")[:16] + "Z"
