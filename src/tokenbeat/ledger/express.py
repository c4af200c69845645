"""The common call in one piece: a leaf that nothing stands inside of and that ends well.

`Entering` decides about every call, in small steps. Almost all calls need none of its decisions,
and an agent pays for each step; so this does the same in one go where nothing is to be decided, and
says no everywhere else. That both give the same records is a law of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from tokenbeat.ledger.cells import KNOWN_CALL, NO_CACHED_TOKENS
from tokenbeat.ledger.records import (
    NO_NOTES,
    End,
    Entry,
    Start,
    entry_json,
    known_call_json,
    source_json,
)
from tokenbeat.usage.call import CellKey

if TYPE_CHECKING:
    from tokenbeat.ledger.deciding import Decisions
    from tokenbeat.ledger.entering import Entering
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.counts import Counts


class Express:
    """Takes the starts and ends that nothing is to be decided about. Runs under the ledger's lock.

    Args:
        entering: The state machine whose tables it keeps.
        decisions: Where ordinals come from.
    """

    __slots__ = ("_decisions", "_entering")

    def __init__(self, *, entering: Entering, decisions: Decisions) -> None:
        self._entering = entering
        self._decisions = decisions

    def start(self, report: Report) -> tuple[Start, bytes]:
        """The record and journal line of a report that starts inside nothing."""
        entering, decisions, run = self._entering, self._decisions, report.run
        entering.open[report.id] = report
        caller = report.caller
        entry = Entry(
            CellKey(
                report.operation, report.provider, report.request_model, None, report.agent,
                caller.path,
            ),
            None if run is None else run.key,
            caller.instance_path,
        )  # fmt: skip
        decisions.ordinal = ordinal = decisions.ordinal + 1
        at_ns = decisions.now_ns()
        body = (
            f'{{"o":{ordinal},"t":"start","at":{at_ns},"call":{report.id}'
            f',"source":{source_json(report.source)},"entry":{entry_json(entry)},"inside":null}}'
        ).encode("utf-8", "surrogatepass")
        record = Start(ordinal, at_ns, report.id, report.source, entry, None)
        return record, b"%08x %b\n" % (crc32(body), body)

    def end(self, report: Report) -> tuple[End, bytes, Counts] | None:
        """The record, journal line and counts of a report that ended well with known usage.

        Returns:
            None where something is to be decided: nothing has been done then.
        """
        entering, decisions = self._entering, self._decisions
        member_of, usage, caller = report.member_of, report.usage, report.caller
        if (
            usage is None
            or report.is_envelope
            or report.inside is not None
            or report.token is not None
            or (member_of is not None and len(member_of.members) > 1)
            or not (caller.steps or entering.nobody_else(report.source))
            or not entering.joins.of_one_source(report.source)
        ):
            return None
        key = entering.keys.known(
            CellKey(
                report.operation, report.provider, report.request_model, report.response_model,
                report.agent, caller.path,
            )
        )  # fmt: skip
        if key is None:
            return None
        run = report.run
        report.entry = entry = Entry(key, None if run is None else run.key, caller.instance_path)
        tokens = usage.vector()
        report.counts = counts = KNOWN_CALL + tokens + NO_CACHED_TOKENS
        report.entered = True
        entering.close(report)
        entering.joins.add(report)
        decisions.ordinal = ordinal = decisions.ordinal + 1
        at_ns = decisions.now_ns()
        body = (
            f'{{"o":{ordinal},"t":"end","at":{at_ns},"call":{report.id}'
            f',"entry":{entry_json(entry)},"n":{known_call_json(tokens)}}}'
        ).encode("utf-8", "surrogatepass")
        record = End(ordinal, at_ns, report.id, entry, counts, notes=NO_NOTES)
        return record, b"%08x %b\n" % (crc32(body), body), counts
