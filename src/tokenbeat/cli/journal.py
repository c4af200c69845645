"""``tokenbeat journal show``: a journal's books, replayed by the code that wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from tokenbeat.cli.errors import UnusableFile
from tokenbeat.cli.journals import Incarnation, read_journal
from tokenbeat.cli.tables import figures_table, plain
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.ledger.errors import LedgerError
from tokenbeat.usage.counts import ZERO_COUNTS, Counts, add, finished, total_tokens

if TYPE_CHECKING:
    from pathlib import Path


def show(file: Path, *, as_json: bool) -> None:
    """Prints whose journal it is, its cells and its runs.

    Raises:
        UnusableFile: It cannot be read, or is no journal.
    """
    try:
        books = read_journal(file)
    except LedgerError as error:
        raise UnusableFile(path=file, reason=str(error).removeprefix(f"{file} ")) from error
    except OSError as error:
        raise UnusableFile(path=file, reason=error.strerror or str(error)) from error
    if as_json:
        click.echo(json.dumps(_as_json(books), indent=2, ensure_ascii=False))
    else:
        _print(books)


def _total(cells: dict[Any, Counts]) -> Counts:
    total = ZERO_COUNTS
    for counts in cells.values():
        total = add(total, counts)
    return total


def _as_json(books: Incarnation) -> dict[str, Any]:
    accounts = books.accounts
    return {
        "incarnation": books.opened.incarnation,
        "service": books.opened.service,
        "startedAt": to_wire(books.opened.started_ns),
        "format": books.opened.version,
        "living": books.living,
        "revision": books.revision,
        "open": books.open,
        "damagedLines": books.damaged_lines,
        "missingRecords": books.missing_records,
        "anomalies": accounts.anomalies,
        "reconciliations": accounts.reconciliations,
        "totals": figures(_total(books.cells)),
        "cells": [
            {
                "operation": key.operation,
                "provider": key.provider,
                "requestModel": key.request_model,
                "responseModel": key.response_model,
                "agent": key.agent,
                "caller": key.caller,
                **figures(counts),
            }
            for key, counts in books.cells.items()
        ],
        "runs": [
            {
                "run": run.run_id,
                "part": run.part,
                "status": run.status,
                "startedAt": to_wire(run.started_ns),
                "endedAt": None if run.ended_ns is None else to_wire(run.ended_ns),
                **figures(_total({key: counts for key, (counts, _) in run.cells.items()})),
            }
            for run in accounts.runs.values()
        ],
    }


def _print(books: Incarnation) -> None:
    screen = Console(highlight=False)
    state = "living" if books.living else "ended"
    head = f"incarnation {books.opened.incarnation} of {books.opened.service}, {state}"
    screen.print(plain(head))
    screen.print(
        Text(
            f"since {to_wire(books.opened.started_ns)}, revision {books.revision:,}, "
            f"{books.open:,} open calls, {len(books.accounts.runs):,} runs"
        )
    )
    table = figures_table(["operation", "model", "caller"])
    ranked = sorted(books.cells.items(), key=lambda cell: -total_tokens(cell[1]))
    for key, counts in ranked:
        model = key.response_model or key.request_model
        table.add_row(plain(key.operation), plain(model), plain(key.caller), *_numbers(counts))
    table.add_section()
    totals = _total(books.cells)
    table.add_row(Text("total"), Text(), Text(), *_numbers(totals), style="bold")
    screen.print(table)
    for what, reasons in (
        ("anomalies", books.accounts.anomalies),
        ("reconciliations", books.accounts.reconciliations),
    ):
        if reasons:
            told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
            screen.print(plain(f"{what}: {told}"))
    if books.damaged_lines or books.missing_records:
        screen.print(
            Text(
                f"INCOMPLETE: {books.damaged_lines:,} damaged lines, "
                f"{books.missing_records:,} missing records"
            )
        )


def _numbers(counts: Counts) -> list[Text]:
    tokens = figures(counts)["tokens"]
    told = (finished(counts), tokens["input"], tokens["output"], tokens["total"])
    return [Text(f"{count:,}") for count in told]
