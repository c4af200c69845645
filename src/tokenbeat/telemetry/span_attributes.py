"""What a call's span says: names, ids and numbers; never a prompt, an answer or an error's text."""

from __future__ import annotations

from hashlib import sha256
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

from tokenbeat import semconv
from tokenbeat.usage import counts as c
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.counts import Counts

SpanAttributes = dict[str, Any]

_RARE: Final = (
    ("input_text_tokens", c.INPUT_TEXT, semconv.USAGE_INPUT_TEXT),
    ("input_audio_tokens", c.INPUT_AUDIO, semconv.USAGE_INPUT_AUDIO),
    ("input_image_tokens", c.INPUT_IMAGE, semconv.USAGE_INPUT_IMAGE),
    ("output_text_tokens", c.OUTPUT_TEXT, semconv.USAGE_OUTPUT_TEXT),
    ("output_audio_tokens", c.OUTPUT_AUDIO, semconv.USAGE_OUTPUT_AUDIO),
    ("output_image_tokens", c.OUTPUT_IMAGE, semconv.USAGE_OUTPUT_IMAGE),
    ("unclassified_tokens", c.UNCLASSIFIED, semconv.UNCLASSIFIED_USAGE),
)
"""Parts of usage that few calls have: field, place among the counts, attribute."""
_rare_told = attrgetter(*(field for field, _, _ in _RARE))
_rare_counts = itemgetter(*(index for _, index, _ in _RARE))
_NONE_TOLD: Final = (None,) * len(_RARE)
_NONE_COUNTED: Final = (0,) * len(_RARE)
_UNKNOWN: Final = TokenUsage()

_MOST_REMEMBERED: Final = 2_000
_HASH_LENGTH: Final = 16
_NS_IN_S: Final = 1e9


def hashed(identifier: str) -> str:
    """An id that joins spans and tells nothing: the first 16 hex digits of its SHA-256."""
    return sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


class CallAttributes:
    """Makes the attributes of call spans; what repeats from call to call is made once.

    Args:
        hash_ids: Whether run and thread ids leave as hashes.
    """

    def __init__(self, *, hash_ids: bool) -> None:
        self._hash_ids = hash_ids
        self._remembered: dict[tuple[str | None, ...], tuple[str, SpanAttributes]] = {}

    def identifier(self, identifier: str) -> str:
        """An id as it may leave."""
        return hashed(identifier) if self._hash_ids else identifier

    def at_start(self, report: Report) -> tuple[str, SpanAttributes]:
        """The span's name and what is known when the call begins; samplers see these."""
        path = report.caller.instance_path
        identity = (
            report.operation, report.provider, report.request_model, report.agent, path
        )  # fmt: skip
        remembered = self._remembered.get(identity)
        if remembered is None:
            remembered = self._remember(identity, report, path)
        name, fixed = remembered
        attributes = fixed.copy()
        run = report.run
        if run is not None:
            attributes[semconv.RUN_ID] = self.identifier(run.run_id)
            if run.thread_id is not None:
                attributes[semconv.CONVERSATION_ID] = self.identifier(run.thread_id)
        return name, attributes

    def _remember(
        self, identity: tuple[str | None, ...], report: Report, path: str
    ) -> tuple[str, SpanAttributes]:
        attributes: SpanAttributes = {
            semconv.OPERATION_NAME: report.operation,
            semconv.PROVIDER_NAME: report.provider,
            semconv.CALLER: path,
        }
        name = report.operation
        if report.request_model is not None:
            attributes[semconv.REQUEST_MODEL] = report.request_model
            name = f"{name} {report.request_model}"
        if report.agent is not None:
            attributes[semconv.AGENT_NAME] = report.agent
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[identity] = name, attributes
        return name, attributes

    def at_end(self, owner: Report, shown: Report) -> SpanAttributes:
        """What is known when the span ends.

        Args:
            owner: The report that opened the span: it says how the call ended.
            shown: The innermost report that shares it: its usage is shown, and where the two
                differ it is nearer to the wire.
        """
        attributes: SpanAttributes = {}
        if shown.cached:
            attributes[semconv.CACHED_RESPONSE] = True
        counts = shown.counts
        if counts is not None and counts[c.WITH_USAGE]:
            _add_usage(attributes, counts, shown.usage or _UNKNOWN)
        self._add_answer(attributes, owner)
        if owner is not shown:
            self._add_answer(attributes, shown)
        if owner.outcome != "ok" and owner.outcome is not None:
            attributes[semconv.OUTCOME] = owner.outcome
        if owner.error_type is not None:
            attributes[semconv.ERROR_TYPE] = owner.error_type
        return attributes

    def _add_answer(self, attributes: SpanAttributes, report: Report) -> None:
        if report.request_params:
            attributes.update(report.request_params)
        if report.response_model is not None:
            attributes[semconv.RESPONSE_MODEL] = report.response_model
        if report.response_id is not None:
            attributes[semconv.RESPONSE_ID] = report.response_id
        if report.finish_reasons:
            attributes[semconv.RESPONSE_FINISH_REASONS] = report.finish_reasons
        if report.server_address is not None:
            attributes[semconv.SERVER_ADDRESS] = report.server_address
            if report.server_port is not None:
                attributes[semconv.SERVER_PORT] = report.server_port
        if report.stream:
            attributes[semconv.REQUEST_STREAM] = True
            if report.first_chunk_ns is not None:
                attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = (
                    report.first_chunk_ns - report.started_mono_ns
                ) / _NS_IN_S
        thread_id = report.conversation_id
        if thread_id is not None and (report.run is None or report.run.thread_id != thread_id):
            attributes[semconv.CONVERSATION_ID] = self.identifier(thread_id)


def _add_usage(attributes: SpanAttributes, counts: Counts, usage: TokenUsage) -> None:
    # Silence and 0 differ: what nobody told is not there. Spelled out for what most calls have.
    tokens = counts[c.INPUT]
    if tokens or usage.input_tokens is not None:
        attributes[semconv.USAGE_INPUT] = tokens
    tokens = counts[c.OUTPUT]
    if tokens or usage.output_tokens is not None:
        attributes[semconv.USAGE_OUTPUT] = tokens
    tokens = counts[c.CACHE_READ]
    if tokens or usage.cache_read_tokens is not None:
        attributes[semconv.USAGE_CACHE_READ] = tokens
    tokens = counts[c.CACHE_WRITE]
    if tokens or usage.cache_write_tokens is not None:
        attributes[semconv.USAGE_CACHE_WRITE] = tokens
    tokens = counts[c.REASONING]
    if tokens or usage.reasoning_tokens is not None:
        attributes[semconv.USAGE_REASONING] = tokens
    if _rare_told(usage) != _NONE_TOLD or _rare_counts(counts) != _NONE_COUNTED:
        for field, index, name in _RARE:
            tokens = counts[index]
            if tokens or getattr(usage, field) is not None:
                attributes[name] = tokens
    if counts[c.PARTIAL]:
        attributes[semconv.PARTIAL_USAGE] = True
