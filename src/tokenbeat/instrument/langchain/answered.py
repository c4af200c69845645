"""What the end of a model run says: usage, model, response id, why it stopped.

Texts of answers are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tokenbeat.usage.combined import usage_of_candidates
from tokenbeat.usage.reported import (
    MAX_CALL_TOKENS,
    NOTHING,
    Reported,
    read_first,
    read_usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tokenbeat.usage.tokens import TokenUsage

_REQUEST_USAGE: Final = ("token_usage", "usage")
_GENERATION_USAGE: Final = ("token_usage", "usage", "usage_metadata")
_EMPTY: Final[dict[str, Any]] = {}
_OLLAMA: Final = "eval_count"
_OWN_MESSAGE_IDS: Final = ("lc_", "run-")
_RESPONSE_ID_PREFIXES: Final = ("resp_", "chatcmpl-", "gen-", "cmpl-")


class Answer(NamedTuple):
    """What was read.

    Attributes:
        reported: The usage with its faults.
        cached: Whether LangChain's own cache answered: nothing was billed.
        model: The model that answered, or None.
        response_id: The provider's id of the response, or None.
        finish_reasons: One for each candidate that says why it stopped.
    """

    reported: Reported
    cached: bool
    model: str | None
    response_id: str | None
    finish_reasons: tuple[str, ...]


def read_answer(  # noqa: PLR0913 what is known of the call beside its response
    response: Any,  # noqa: ANN401 LangChain's LLMResult, of any version
    *,
    provider: str,
    request_model: str | None,
    raw_heard: object = None,
    heard: TokenUsage | None = None,
    most: int = MAX_CALL_TOKENS,
) -> Answer:
    """Reads an ``LLMResult``, as the end or the error of a run gives it.

    Args:
        response: The result; None or without generations says nothing.
        provider: ``gen_ai.provider.name``.
        request_model: The model asked for: a name that repeats over chunks is told by it.
        raw_heard: The one usage that the stream's chunks carried, as it was given.
        heard: What that was read as, so that it is not read again.
        most: The greatest count of tokens that is believed in one field.
    """
    prompts: Sequence[Sequence[Any]] = getattr(response, "generations", None) or ()
    output = getattr(response, "llm_output", None)
    if not output and len(prompts) == 1 and len(prompts[0]) == 1:
        return _read_candidate(
            prompts[0][0],
            provider=provider, request_model=request_model, raw_heard=raw_heard, heard=heard,
            usage_wanted=True, most=most,
        )  # fmt: skip
    llm_output = cast("dict[str, Any]", output) if isinstance(output, dict) else _EMPTY
    request_level = NOTHING
    if llm_output:
        request_level = read_first(
            _request_places(llm_output), provider=provider, max_call_tokens=most
        )
    wanted = request_level.usage is None
    answers = [
        _read_candidate(
            generation,
            provider=provider,
            request_model=request_model,
            raw_heard=raw_heard,
            heard=heard,
            usage_wanted=wanted,
            most=most,
        )
        for candidates in prompts
        for generation in candidates
    ]
    model = _model(llm_output)
    models = [answer.model for answer in answers if answer.model is not None]
    ids = [answer.response_id for answer in answers if answer.response_id is not None]
    response_id = _text(llm_output.get("id"))
    return Answer(
        _combined(
            request_level,
            [answer.reported for answer in answers] if wanted else [],
        ),
        any(answer.cached for answer in answers),
        next(iter(models), None) if model is None else once(model, known=request_model),
        next(iter(ids), None) if response_id is None else response_id,
        tuple([reason for answer in answers for reason in answer.finish_reasons]),
    )


def _read_candidate(  # noqa: PLR0913 as `read_answer`
    generation: Any,  # noqa: ANN401 LangChain's, of any version
    *,
    provider: str,
    request_model: str | None,
    raw_heard: object,
    heard: TokenUsage | None,
    usage_wanted: bool,
    most: int,
) -> Answer:
    """What one generation says. Spelled out: almost every call has just this one."""
    message = getattr(generation, "message", None)
    told: Any = getattr(message, "usage_metadata", None)
    metadata: dict[str, Any] = getattr(message, "response_metadata", None) or _EMPTY
    info: dict[str, Any] = getattr(generation, "generation_info", None) or _EMPTY
    reported = NOTHING
    if usage_wanted:
        if heard is not None and told is not None and told == raw_heard:
            reported = Reported(heard)
        else:
            if told and not says_nothing(told):
                reported = read_usage(told, provider=provider, max_call_tokens=most)
            if reported.usage is None:
                places = _generation_places(told, metadata, info)
                reported = read_first(places, provider=provider, max_call_tokens=most)
    model = metadata.get("model_name")
    if not model or not isinstance(model, str):
        model = _model(metadata) or _model(info)
    response_id = metadata.get("id")
    if not response_id or not isinstance(response_id, str):
        response_id = _text(info.get("id")) or _message_id(message, provider=provider)
    reason = (
        info.get("finish_reason")
        or metadata.get("finish_reason")
        or metadata.get("stop_reason")
        or metadata.get("done_reason")
    )
    return Answer(
        reported,
        bool(told) and told.get("total_cost") == 0,
        None if model is None else once(model, known=request_model),
        response_id,
        (once(reason),) if reason and isinstance(reason, str) else (),
    )


def says_nothing(told: Any) -> bool:  # noqa: ANN401 LangChain's UsageMetadata, of any version
    """Whether a usage has nothing but zeros, which no answered request costs.

    langchain-anthropic writes 0 for what the provider did not say.
    """
    return not (told.get("input_tokens") or told.get("output_tokens") or told.get("total_tokens"))


def once(name: str, *, known: str | None = None) -> str:
    """A name that chunks of a stream repeated, once: ``gpt-4ogpt-4o`` is ``gpt-4o``.

    Args:
        name: What the merged message says.
        known: A name that is not to be taken apart, whatever it looks like.
    """
    if name == known:
        return name
    length = (name + name).find(name, 1)
    # A name of one or two letters is not repeated, it is a short name that looks like it.
    return name[:length] if 2 < length < len(name) else name


def _combined(request_level: Reported, reports: Sequence[Reported]) -> Reported:
    if request_level.usage is not None:
        return request_level
    if len(reports) == 1 and not request_level.anomalies:
        return reports[0]
    usage = usage_of_candidates([report.usage for report in reports])
    anomalies = list(request_level.anomalies)
    malformed = request_level.malformed
    for report in reports:
        # Candidates repeat their response's usage, faults included: each fault is told once.
        anomalies.extend(reason for reason in report.anomalies if reason not in anomalies)
        malformed = malformed or report.malformed
    return Reported(usage, tuple(anomalies), malformed)


def _request_places(llm_output: Mapping[str, Any]) -> Iterator[object]:
    for name in _REQUEST_USAGE:
        yield llm_output.get(name)
    if _OLLAMA in llm_output:
        yield llm_output


def _generation_places(
    told: Any,  # noqa: ANN401 LangChain's UsageMetadata, of any version
    metadata: Mapping[str, Any],
    info: Mapping[str, Any],
) -> Iterator[object]:
    if told and not says_nothing(told):
        yield told
    for place in (metadata, info):
        for name in _GENERATION_USAGE:
            yield place.get(name)
        if _OLLAMA in place:
            yield place


def _model(place: Mapping[str, Any]) -> str | None:
    return _text(place.get("model_name")) or _text(place.get("model"))


def _text(value: object) -> str | None:
    return value if value and isinstance(value, str) else None


def _message_id(message: object, *, provider: str) -> str | None:
    """The message's id where it is the provider's: LangChain otherwise makes one of the run's."""
    message_id = getattr(message, "id", None)
    if not isinstance(message_id, str) or message_id.startswith(_OWN_MESSAGE_IDS):
        return None
    if message_id.startswith(_RESPONSE_ID_PREFIXES):
        return message_id
    return message_id if provider == "anthropic" and message_id.startswith("msg_") else None
