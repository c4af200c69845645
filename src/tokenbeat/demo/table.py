"""The live table: who spends what, on which model, while the agent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3
from rich.table import Table

from tokenbeat.demo.doors import get_json

if TYPE_CHECKING:
    from rich.live import Live


def usage_table(report: dict[str, Any]) -> Table:
    """A control plane's report by model and caller, most tokens first; fits into 80 columns."""
    table = Table(
        title="Tokens by caller and model", title_justify="left", box=None, pad_edge=False,
        padding=(0, 2, 0, 0), show_footer=True,
    )  # fmt: skip
    totals = _figures(report["totals"])
    table.add_column("caller", overflow="fold", footer="all")
    table.add_column("model", overflow="fold")
    for heading, total in zip(("input", "output", "total"), totals, strict=True):
        table.add_column(heading, footer=total, justify="right", no_wrap=True)
    for row in report["rows"]:
        table.add_row(row["caller"], row["model"], *_figures(row))
    return table


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{row['tokens'][kind]:,}" for kind in ("input", "output", "total"))


class LiveTable:
    """Shows what the control plane knows, again and again.

    Args:
        live: Where it is drawn.
        control_plane: The address.
    """

    def __init__(self, live: Live, *, control_plane: str) -> None:
        self._live = live
        self._url = f"{control_plane}/api/v1/usage?by=model,caller"
        self.spent_tokens = 0

    def look(self) -> None:
        """Asks and draws."""
        try:
            report = get_json(self._url)
        except (urllib3.exceptions.HTTPError, ValueError):
            return  # the next look is a fraction of a second away
        self.spent_tokens = report["totals"]["tokens"]["total"]
        self._live.update(usage_table(report), refresh=True)
