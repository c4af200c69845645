"""``tokenbeat usage``: the same report from the control plane or from this machine's journals."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import click

from tokenbeat.cli.errors import BadOption, NoAnswer, RefusedByServer
from tokenbeat.cli.journals import Incarnation, Spool, read_spool
from tokenbeat.cli.tables import print_report
from tokenbeat.control_plane.report.dimensions import Dimension, read_by
from tokenbeat.control_plane.report.errors import BadParameter
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.heartbeat.names import service_name
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.settings import state_dir
from tokenbeat.usage.counts import ZERO_COUNTS, Counts, add, finished, total_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from tokenbeat.cli.asking import Server
    from tokenbeat.usage.call import CellKey

Report = dict[str, Any]

_OPTIONS = {"by": "--by", "from": "--from", "to": "--to", "name": "--service"}


def from_server(
    server: Server, *, service: str | None, by: str, start: str | None, end: str | None
) -> Report:
    """The control plane's report, as it answers it.

    Raises:
        BadOption: It refuses a parameter.
        NoAnswer: There is no control plane at the address.
        RefusedByServer: It refuses otherwise.
    """
    path = "/api/v1/usage"
    if service is not None:
        path = f"/api/v1/agents/{quote(service_name(service), safe='')}/usage"
    try:
        report = server.get(path, {"by": by, "from": start, "to": end, "limit": "5000"})
    except RefusedByServer as refused:
        option = _OPTIONS.get(refused.field or "")
        if option is None:
            raise
        reason = refused.reason.removeprefix(f"{refused.field}: ")
        raise BadOption(option=option, reason=reason) from refused
    if not isinstance(report.get("rows"), list) or not isinstance(report.get("totals"), dict):
        raise NoAnswer(url=server.url, reason="answered no report; is that Tokenbeat?")
    return report


def from_journals(
    spool_dir: Path | None,
    *,
    service: str | None,
    by: str,
    start: str | None = None,
    end: str | None = None,
) -> Report:
    """The same report from the journals in a folder, the user's own where none is given.

    Raises:
        BadOption: A dimension is unknown, or only a control plane knows the answer.
    """
    for option, value in (("--from", start), ("--to", end)):
        if value is not None:
            raise BadOption(
                option=option, reason="needs a control plane (--url): journals are whole"
            )
    dimensions = _dimensions(by)
    folder = (spool_dir or state_dir()).expanduser()
    spool = read_spool(folder)
    if service is not None:
        wanted = service_name(service)
        spool.incarnations = [
            one for one in spool.incarnations if service_name(one.opened.service) == wanted
        ]
    report: Report = {} if service is None else {"service": service_name(service)}
    report |= _sums(spool, dimensions)
    report["journals"] = _about(spool, folder)
    return report


def show(report: Report, *, as_json: bool) -> None:
    """Prints a report; what could not be read is said on standard error."""
    about = cast("Report", report.get("journals", {}))
    for file, reason in cast("dict[str, str]", about.get("unreadable", {})).items():
        click.echo(f"tokenbeat: {file}: {reason}", err=True)
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print_report(report)


def _dimensions(by: str) -> tuple[Dimension, ...]:
    try:
        dimensions = read_by(by)
    except BadParameter as error:
        raise BadOption(option="--by", reason=error.reason) from error
    if any("run" in dimension.columns for dimension in dimensions):
        raise BadOption(option="--by", reason="run needs a control plane (--url)")
    return dimensions


def _facts(incarnation: Incarnation, key: CellKey) -> dict[str, str | None]:
    return {
        "service": service_name(incarnation.opened.service),
        "incarnation": incarnation.opened.incarnation,
        **key._asdict(),
    }


def _sums(spool: Spool, dimensions: tuple[Dimension, ...]) -> Report:
    rows: dict[tuple[str | None, ...], Counts] = {}
    unattributed = ZERO_COUNTS
    for incarnation in spool.incarnations:
        for key, counts in incarnation.cells.items():
            facts = _facts(incarnation, key)
            values = tuple(dimension.read(facts) for dimension in dimensions)
            rows[values] = add(rows.get(values, ZERO_COUNTS), counts)
            if key.caller == "unattributed":
                unattributed = add(unattributed, counts)
    totals = ZERO_COUNTS
    for counts in rows.values():
        totals = add(totals, counts)
    ranked = sorted(rows.items(), key=lambda row: (-total_tokens(row[1]), _text(row[0])))
    began = [one.opened.started_ns for one in spool.incarnations]
    last = [one.accounts.at_ns for one in spool.incarnations if one.accounts.at_ns]
    return {
        "by": [dimension.name for dimension in dimensions],
        "from": None,
        "to": None,
        "at": to_wire(time.time_ns()),
        "since": to_wire(min(began)) if began else None,
        "lastSeen": to_wire(max(last)) if last else None,
        "revision": sum(one.revision for one in spool.incarnations),
        "totals": figures(totals),
        "unattributed": {"calls": finished(unattributed), "tokens": total_tokens(unattributed)},
        "rowCount": len(rows),
        "rows": [
            {d.name: value for d, value in zip(dimensions, values, strict=True)} | figures(counts)
            for values, counts in ranked
        ],
        "rest": figures(ZERO_COUNTS),
    }


def _text(values: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(value or "" for value in values)


def _about(spool: Spool, folder: Path) -> Report:
    return {
        "folder": str(folder),
        "incarnations": len(spool.incarnations),
        "living": sum(one.living for one in spool.incarnations),
        "open": sum(one.open for one in spool.incarnations),
        "damagedLines": sum(one.damaged_lines for one in spool.incarnations),
        "missingRecords": sum(one.missing_records for one in spool.incarnations),
        "unreadable": {str(file): reason for file, reason in spool.unreadable.items()},
    }
