"""What names a call: its operation, its outcome, and the cell that it is entered in."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, get_args

Operation = Literal["chat", "text_completion", "embeddings", "generate_content"]
Outcome = Literal["ok", "error", "cancelled", "abandoned", "unfinished"]
RunStatus = Literal["open", "success", "error", "cancelled", "interrupted", "timeout", "abandoned"]

OPERATIONS: Final[tuple[str, ...]] = get_args(Operation)
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
RUN_STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)

OTHER: Final = "other"
"""The caller that keys past the bound are folded into."""

_DATED = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$")


class CellKey(NamedTuple):
    """What a cell counts for. None means "not known".

    Attributes:
        operation: ``chat``, ``text_completion``, ``embeddings`` or ``generate_content``.
        provider: ``gen_ai.provider.name``, such as ``openai``.
        request_model: The model as asked for.
        response_model: The model that answered.
        agent: ``gen_ai.agent.name`` of the agent that called.
        caller: The caller's path.
    """

    operation: str
    provider: str
    request_model: str | None
    response_model: str | None
    agent: str | None
    caller: str


def model_family(model: str) -> str:
    """The model without a trailing date: ``gpt-4o-2024-08-06`` belongs to ``gpt-4o``."""
    return _DATED.sub("", model) or model


def rolled_up_model(key: CellKey) -> str:
    """The name for sums by model: the answered one's family, else the requested one's.

    ``unknown`` where neither is known.
    """
    model = key.response_model or key.request_model
    return model_family(model) if model else "unknown"
