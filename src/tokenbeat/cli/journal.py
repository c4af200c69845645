"""``tokenbeat journal show``: a journal's books, replayed by the code that wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from tokenbeat.cli.errors import UnusableFile
from tokenbeat.cli.journals import Incarnation, read_journal
from tokenbeat.cli.layout import plain, print_rows, row
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.ledger.errors import LedgerError
from tokenbeat.usage.counts import ZERO_COUNTS, Counts, add, total_tokens

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
            f"open calls {books.open:,}, runs {len(books.accounts.runs):,}"
        )
    )
    ranked = sorted(books.cells.items(), key=lambda cell: -total_tokens(cell[1]))
    rows = [
        row((key.operation, key.response_model or key.request_model, key.caller), figures(counts))
        for key, counts in ranked
    ]
    total = row(["total"], figures(_total(books.cells)))
    print_rows(screen, ["operation", "model", "caller"], rows, total=total)
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
                f"INCOMPLETE: damaged lines {books.damaged_lines:,}, "
                f"missing records {books.missing_records:,}"
            )
        )
