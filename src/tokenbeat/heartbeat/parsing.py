"""From foreign JSON to a `Heartbeat`, or to a refusal that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from tokenbeat.heartbeat import limits
from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.heartbeat.fields import Fields, check_count
from tokenbeat.heartbeat.names import INCARNATION_PATTERN, SERVICE_PATTERN
from tokenbeat.heartbeat.times import foreign_time_ns
from tokenbeat.heartbeat.values import (
    SENDERS,
    Beat,
    Books,
    Cell,
    CutCells,
    Gap,
    Health,
    Heartbeat,
    ModelWindow,
    RunCells,
    Service,
    UsageWindow,
)
from tokenbeat.usage.call import RUN_STATUSES, CellKey
from tokenbeat.usage.counts import COUNT_FIELDS, FAILED_ATTEMPTS, WIRE_NAMES

if TYPE_CHECKING:
    from tokenbeat.heartbeat.values import Sender
    from tokenbeat.usage.counts import Counts

MESSAGE_VERSION: Final = 1
"""The version of the object ``tokenbeat`` that this package writes and reads."""

_SERVICE: Final = re.compile(SERVICE_PATTERN)
_INCARNATION: Final = re.compile(INCARNATION_PATTERN)
_LONGEST_INTERVAL_MS: Final = 86_400_000
_MOST_PROOFS: Final = 1_000

_INDEX_IN_GROUP: Final = {
    group: {
        wire_name: COUNT_FIELDS.index(field)
        for field, (its_group, wire_name) in WIRE_NAMES.items()
        if its_group == group
    }
    for group in ("calls", "tokens")
}


def parse_heartbeat(body: Mapping[str, object]) -> Heartbeat:
    """Read a decoded JSON body.

    Keys that are not known are ignored, so that older and newer ends understand each other. What is
    checked here is what one message shows by itself; limits over messages (cells of an incarnation,
    increase of a cell) are the receiver's.

    Raises:
        MessageRefused: Something in it is wrong; the exact field is named.
    """
    # The type says so, but what a JSON decoder returns can be a list or a number.
    if not isinstance(body, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MessageRefused(field="body", reason="must be an object")
    fields = Fields(body)
    health = fields.inner("health")
    gap = fields.inner("gap")
    return Heartbeat(
        health=Health(health.raw),
        gap=Gap(gap.raw),
        usage=_usage(fields.inner("usage")) if fields.present("usage") else None,
        proof=tuple(item.raw for item in fields.objects("proof", most=_MOST_PROOFS)),
        beat=_beat(fields.inner("tokenbeat")) if fields.present("tokenbeat") else None,
    )


def _usage(fields: Fields) -> UsageWindow:
    models = tuple(
        ModelWindow(
            model_id=item.text("modelId"),
            prompt_tokens=item.count("promptTokens") if item.present("promptTokens") else None,
            completion_tokens=(
                item.count("completionTokens") if item.present("completionTokens") else None
            ),
            total_tokens=item.count("totalTokens"),
            call_count=item.count("callCount"),
        )
        for item in fields.objects("models", most=limits.MAX_USAGE_MODELS)
    )
    total_tokens = fields.count("totalTokens")
    total_calls = fields.count("totalCalls")
    if total_tokens != sum(model.total_tokens for model in models):
        fields.refuse("totalTokens", reason="must be the sum of the models' totalTokens")
    if total_calls != sum(model.call_count for model in models):
        fields.refuse("totalCalls", reason="must be the sum of the models' callCount")
    started_at = fields.optional_text("windowStartedAt", characters=64)
    return UsageWindow(
        window_started_at=started_at,
        window_started_ns=None if started_at is None else foreign_time_ns(started_at),
        models=models,
        total_tokens=total_tokens,
        total_calls=total_calls,
    )


def _beat(fields: Fields) -> Beat:
    version = fields.count("version")
    if version != MESSAGE_VERSION:
        fields.refuse("version", reason=f"must be {MESSAGE_VERSION}")
    return Beat(
        version=version,
        incarnation=fields.matching(
            "incarnation", pattern=_INCARNATION, reason="must be 16 to 64 of [a-z2-7]"
        ),
        service=_service(fields.inner("service")),
        sender=cast("Sender", fields.choice("sender", of=SENDERS, default="process")),
        sent_ns=fields.time_ns("sentAt"),
        interval_ms=fields.count("intervalMs", largest=_LONGEST_INTERVAL_MS),
        revision=fields.count("revision"),
        base=fields.count("base"),
        nonce=fields.optional_text("nonce", characters=64),
        nonces=_nonces(fields),
        final=fields.flag("final"),
        cuts=_cuts(fields),
        runs=tuple(_run(item) for item in fields.objects("runs", most=limits.MAX_RUNS)),
        open_calls=fields.count("open", default=0),
        books=_books(fields.inner("books")) if fields.present("books") else Books(),
    )


def _service(fields: Fields) -> Service:
    return Service(
        name=fields.matching(
            "name", pattern=_SERVICE, reason="must be 1 to 63 of [a-z0-9-], no hyphen at an edge"
        ),
        original_name=fields.optional_text("originalName"),
        namespace=fields.optional_text("namespace"),
        instance=fields.optional_text("instance"),
        started_ns=fields.time_ns("startedAt"),
        host=fields.optional_text("host"),
        pod=fields.optional_text("pod"),
        sdk_version=fields.optional_text("sdkVersion"),
    )


def _nonces(fields: Fields) -> tuple[str, ...]:
    nonces = fields.items("nonces", most=limits.MAX_NONCES)
    for index, nonce in enumerate(nonces):
        if not isinstance(nonce, str) or not 1 <= len(nonce) <= 64:
            fields.refuse(f"nonces[{index}]", reason="must be a text of 1 to 64 characters")
    return tuple(cast("list[str]", nonces))


def _cuts(fields: Fields) -> tuple[CutCells, ...]:
    cuts: list[CutCells] = []
    for item in fields.objects("cuts", most=limits.MAX_CUTS):
        at_ns = item.time_ns("at")
        if cuts and at_ns < cuts[-1].at_ns:
            item.refuse("at", reason="must not be before the cut before it")
        cuts.append(CutCells(at_ns=at_ns, cells=_cells(item)))
    return tuple(cuts)


def _run(fields: Fields) -> RunCells:
    return RunCells(
        run_id=fields.text("run"),
        part=fields.count("part", default=0),
        thread_id=fields.optional_text("thread"),
        root_agent=fields.optional_text("rootAgent"),
        user=fields.optional_text("user"),
        labels=fields.texts_by_name(
            "labels", most=limits.MAX_LABELS, characters=limits.LABEL_CHARACTERS
        ),
        status=fields.choice("status", of=RUN_STATUSES),
        started_ns=fields.time_ns("startedAt"),
        ended_ns=fields.optional_time_ns("endedAt"),
        late=fields.flag("late"),
        cells=_cells(fields),
    )


def _cells(fields: Fields) -> tuple[Cell, ...]:
    return tuple(_cell(item) for item in fields.objects("cells", most=limits.MAX_CELLS))


def _cell(fields: Fields) -> Cell:
    key = CellKey(
        operation=fields.choice("operation", of=limits.WIRE_OPERATIONS),
        provider=fields.text("provider"),
        request_model=fields.optional_text("requestModel"),
        response_model=fields.optional_text("responseModel"),
        agent=fields.optional_text("agent"),
        caller=fields.text("caller", characters=limits.CALLER_CHARACTERS),
    )
    return Cell(key, _counts(fields))


def _counts(fields: Fields) -> Counts:
    counts = [0] * len(COUNT_FIELDS)
    for group, indexes in _INDEX_IN_GROUP.items():
        if not fields.present(group):
            continue
        inner = fields.inner(group)
        for name, value in inner.raw.items():
            index = indexes.get(name)
            if index is not None:
                counts[index] = check_count(value, field=inner.path(name))
    counts[FAILED_ATTEMPTS] = fields.count("failedAttempts", default=0)
    return tuple(counts)


def _books(fields: Fields) -> Books:
    return Books(
        started=fields.count("started", default=0),
        finished=fields.count("finished", default=0),
        with_usage=fields.count("withUsage", default=0),
        unattributed=fields.count("unattributed", default=0),
        cached=fields.count("cached", default=0),
        failed_attempts=fields.count("failedAttempts", default=0),
        anomalies=fields.counts_by_name("anomalies", most=limits.MAX_REASONS),
        reconciliations=fields.counts_by_name("reconciliations", most=limits.MAX_REASONS),
        folded_cells=fields.count("foldedCells", default=0),
        journal_bytes=fields.count("journalBytes", default=0),
        journal_errors=fields.count("journalErrors", default=0),
        degraded=fields.flag("degraded"),
        undelivered=fields.count("undelivered", default=0),
        drift=fields.count("drift", default=0),
    )
