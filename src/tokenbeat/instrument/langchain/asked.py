"""What the start of a model run says about the request: provider, model, parameters, host.

Only named parameters are looked at. Messages, prompts, tools and everything else that could hold
content are not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL: Final = ("model", "model_name", "model_id", "deployment_name", "azure_deployment")

_NUMBERS: Final = (
    ("temperature", "gen_ai.request.temperature", float),
    ("top_p", "gen_ai.request.top_p", float),
    ("top_k", "gen_ai.request.top_k", int),
    ("max_tokens", "gen_ai.request.max_tokens", int),
    ("max_completion_tokens", "gen_ai.request.max_tokens", int),
    ("max_output_tokens", "gen_ai.request.max_tokens", int),
    ("frequency_penalty", "gen_ai.request.frequency_penalty", float),
    ("presence_penalty", "gen_ai.request.presence_penalty", float),
    ("seed", "gen_ai.request.seed", int),
)
"""Parameter, span attribute, type. Sampling settings alone: stop sequences can quote a prompt."""

_SETTINGS: Final = frozenset({"n", *(name for name, _, _ in _NUMBERS)})

_ADDRESSES: Final = (
    "openai_api_base",
    "base_url",
    "anthropic_api_url",
    "azure_endpoint",
    "endpoint_url",
)
_ANY_ADDRESS: Final = frozenset(_ADDRESSES)


def request_model(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The model asked for, or None where neither the parameters nor LangChain name it."""
    for name in _MODEL:
        model = params.get(name)
        if model and isinstance(model, str):
            return model
    model = metadata.get("ls_model_name")
    return model if model and isinstance(model, str) else None


def request_params(params: Mapping[str, Any]) -> dict[str, object] | None:
    """Span attributes for the sampling settings that were set; None where none was."""
    if _SETTINGS.isdisjoint(params):
        return None
    found: dict[str, object] | None = None
    for name, attribute, kind in _NUMBERS:
        value = params.get(name)
        if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if found is None:
            found = {}
        found.setdefault(attribute, kind(value))
    choices = params.get("n")
    if type(choices) is int and choices > 1:
        if found is None:
            found = {}
        found["gen_ai.request.choice.count"] = choices
    return found


def server(serialized: Mapping[str, Any] | None) -> tuple[str | None, int | None]:
    """Host and port that the model was configured with; neither path nor credentials."""
    if not serialized:
        return None, None
    kwargs = serialized.get("kwargs")
    if not isinstance(kwargs, dict):
        return None, None
    settings = cast("dict[str, Any]", kwargs)
    if _ANY_ADDRESS.isdisjoint(settings):
        return None, None
    for name in _ADDRESSES:
        address = settings.get(name)
        if address and isinstance(address, str):
            return _host(address)
    return None, None


@lru_cache(maxsize=256)
def _host(address: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:  # an address that is none, or a port out of range
        return None, None
    return host, port
