"""From values to the bytes of a message. Zero counts and unknown names are left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.limits import CALLER_CHARACTERS, LABEL_CHARACTERS, MAX_LABELS
from tokenbeat.heartbeat.names import wire_name
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.usage.counts import COUNT_FIELDS, WIRE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.heartbeat.values import (
        Beat,
        Books,
        Cell,
        Heartbeat,
        RunCells,
        Service,
        UsageWindow,
    )

Json = dict[str, object]

_PLACES: Final = tuple(WIRE_NAMES[field] for field in COUNT_FIELDS)


def encode(heartbeat: Heartbeat) -> bytes:
    """The message as UTF-8 JSON without spaces.

    Raises:
        ValueError: ``health`` or ``gap`` holds what JSON cannot say (NaN, a set, …); all other
            parts always encode.
    """
    return to_bytes(heartbeat_json(heartbeat))


def to_bytes(message: Mapping[str, object]) -> bytes:
    """JSON without spaces; characters outside ASCII stand as themselves, two bytes and not six."""
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate has no UTF-8; our own names were cleaned, a user's health can hold one.
    return text.encode("utf-8", "replace")


def heartbeat_json(heartbeat: Heartbeat) -> Json:
    """The whole message."""
    message: Json = {"health": dict(heartbeat.health.raw), "gap": dict(heartbeat.gap.raw)}
    if heartbeat.proof:
        message["proof"] = [dict(item) for item in heartbeat.proof]
    if heartbeat.usage is not None:
        message["usage"] = usage_json(heartbeat.usage)
    if heartbeat.beat is not None:
        message["tokenbeat"] = beat_json(heartbeat.beat)
    return message


def usage_json(usage: UsageWindow) -> Json:
    """AgentSpec's window."""
    return {
        "windowStartedAt": usage.window_started_at,
        "models": [
            _known(
                modelId=wire_name(model.model_id),
                promptTokens=model.prompt_tokens,
                completionTokens=model.completion_tokens,
                totalTokens=model.total_tokens,
                callCount=model.call_count,
            )
            for model in usage.models
        ],
        "totalTokens": usage.total_tokens,
        "totalCalls": usage.total_calls,
    }


def beat_json(beat: Beat) -> Json:
    """The object ``tokenbeat``."""
    message: Json = {
        "version": beat.version,
        "incarnation": beat.incarnation,
        "service": service_json(beat.service),
        "sender": beat.sender,
        "sentAt": to_wire(beat.sent_ns),
        "intervalMs": beat.interval_ms,
        "revision": beat.revision,
        "base": beat.base,
    }
    if beat.nonce is not None:
        message["nonce"] = beat.nonce
        message["nonces"] = list(beat.nonces)
    message["final"] = beat.final
    message["cuts"] = [
        {"at": to_wire(cut.at_ns), "cells": [cell_json(cell) for cell in cut.cells]}
        for cut in beat.cuts
    ]
    message["runs"] = [run_json(run) for run in beat.runs]
    message["open"] = beat.open_calls
    message["books"] = books_json(beat.books)
    return message


def service_json(service: Service) -> Json:
    """Who reports."""
    return _known(
        name=service.name,
        originalName=_named(service.original_name),
        namespace=_named(service.namespace),
        instance=_named(service.instance),
        startedAt=to_wire(service.started_ns),
        host=_named(service.host),
        pod=_named(service.pod),
        sdkVersion=_named(service.sdk_version),
    )


def cell_json(cell: Cell) -> Json:
    """One cell."""
    key = cell.key
    message = _known(
        operation=key.operation,
        provider=_named(key.provider) or "unknown",
        requestModel=_named(key.request_model),
        responseModel=_named(key.response_model),
        agent=_named(key.agent),
        caller=wire_name(key.caller, characters=CALLER_CHARACTERS) or "unattributed",
    )
    groups: dict[str, Json] = {}
    for (group, name), count in zip(_PLACES, cell.counts, strict=True):
        if count and group is None:
            message[name] = count
        elif count and group is not None:
            groups.setdefault(group, {})[name] = count
    message.update(groups)
    return message


def run_json(run: RunCells) -> Json:
    """One run, or a part of it."""
    message = _known(
        run=_named(run.run_id) or "unknown",
        part=run.part,
        thread=_named(run.thread_id),
        rootAgent=_named(run.root_agent),
        user=_named(run.user),
        status=run.status,
        startedAt=to_wire(run.started_ns),
        endedAt=None if run.ended_ns is None else to_wire(run.ended_ns),
    )
    if run.late:
        message["late"] = True
    labels = {
        wire_name(name): wire_name(value, characters=LABEL_CHARACTERS)
        for name, value in list(run.labels.items())[:MAX_LABELS]
        if name
    }
    if labels:
        message["labels"] = labels
    message["cells"] = [cell_json(cell) for cell in run.cells]
    return message


def books_json(books: Books) -> Json:
    """The gauges about the counting itself."""
    message: Json = {
        "started": books.started,
        "finished": books.finished,
        "withUsage": books.with_usage,
        "unattributed": books.unattributed,
        "cached": books.cached,
        "failedAttempts": books.failed_attempts,
    }
    if books.anomalies:
        message["anomalies"] = _by_reason(books.anomalies)
    if books.reconciliations:
        message["reconciliations"] = _by_reason(books.reconciliations)
    message["foldedCells"] = books.folded_cells
    message["journalBytes"] = books.journal_bytes
    message["journalErrors"] = books.journal_errors
    if books.degraded:
        message["degraded"] = True
    message["undelivered"] = books.undelivered
    message["drift"] = books.drift
    return message


def _by_reason(counts: Mapping[str, int]) -> dict[str, int]:
    return {wire_name(reason): count for reason, count in counts.items() if reason}


def _named(name: str | None) -> str | None:
    return wire_name(name) if name else None


def _known(**fields: object) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
