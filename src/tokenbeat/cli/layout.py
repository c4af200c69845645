"""Names to the left, numbers to the right, readable on 80 columns and without losing a letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

NUMBERS: Final = ("calls", "input", "output", "total")
_GAP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        names: What it is about, one for each heading.
        numbers: Finished calls, and billed tokens: input, output, total.
    """

    names: tuple[Text, ...]
    numbers: tuple[str, ...]


def row(names: Sequence[object], figures: Mapping[str, Any]) -> Row:
    """A row of a report.

    Args:
        names: The values of its dimensions; None is shown as a dash.
        figures: Its counts, as the API has them.
    """
    tokens = figures["tokens"]
    counts = (figures["calls"]["finished"], *(tokens[name] for name in NUMBERS[1:]))
    return Row(
        names=tuple(plain(name) for name in names),
        numbers=tuple(f"{count:,}" for count in counts),
    )


def plain(value: object) -> Text:
    """A name as it may stand on a terminal: no markup, no control characters."""
    if value is None:
        return Text("-", style="dim")
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def print_rows(
    screen: Console, headings: Sequence[str], rows: Sequence[Row], *, total: Row
) -> None:
    """Prints a table, or where it is too wide for the screen, numbers below long names."""
    everything = [*rows, total]
    widths = [
        max([len(heading), *(r.names[i].cell_len for r in everything if i < len(r.names))])
        for i, heading in enumerate(headings)
    ]
    numbers = [
        max([len(heading), *(len(r.numbers[i]) for r in everything)])
        for i, heading in enumerate(NUMBERS)
    ]
    if sum(widths) + sum(numbers) + _GAP * (len(widths) + len(numbers)) <= screen.width:
        screen.print(_table(headings, rows, total=total))
    else:
        _print_stacked(screen, headings, rows, total=total, widths=numbers)


def _table(headings: Sequence[str], rows: Sequence[Row], *, total: Row) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for heading in NUMBERS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in rows:
        table.add_row(*_filled(one.names, len(headings)), *one.numbers)
    table.add_section()
    table.add_row(*_filled(total.names, len(headings)), *total.numbers, style="bold")
    return table


def _filled(names: tuple[Text, ...], columns: int) -> tuple[Text, ...]:
    return (*names, *[Text()] * (columns - len(names)))


def _print_stacked(
    screen: Console,
    headings: Sequence[str],
    rows: Sequence[Row],
    *,
    total: Row,
    widths: Sequence[int],
) -> None:
    def line(names: Text, numbers: Sequence[str], *, style: str = "") -> None:
        right = "".join(f"{n:>{w + _GAP}}" for n, w in zip(numbers, widths, strict=True))
        room = screen.width - len(right)
        if names.cell_len > room:
            screen.print(names, style=style, overflow="fold")
            names = Text()
        screen.print(Text.assemble(names, " " * (room - names.cell_len), right), style=style)

    gap = Text(" " * _GAP)
    rule = Text("─" * screen.width)
    screen.print()
    line(Text((" " * _GAP).join(headings)), NUMBERS, style="bold")
    screen.print(rule)
    for one in rows:
        line(gap.join(one.names), one.numbers)
    screen.print(rule)
    line(gap.join(total.names), total.numbers, style="bold")
    screen.print()
