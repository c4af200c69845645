"""AgentSpec's ``usage``: what is new, by model, since the last acknowledged heartbeat.

The window is cumulative counts less a baseline, and the baseline moves only on acknowledgement and
by exactly what was sent. So nothing is lost over failures, and outages merge by themselves.

Example:
    100 tokens were acknowledged, 30 more come, the beat with 30 fails, 20 more come: the next
    window says 50 and starts where the failed one did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.encoding import to_bytes, usage_json
from tokenbeat.heartbeat.times import NS_PER_MS, to_wire
from tokenbeat.heartbeat.values import ModelWindow, UsageWindow
from tokenbeat.usage.call import rolled_up_model
from tokenbeat.usage.counts import CACHED, INPUT, OUTPUT, finished, total_tokens

if TYPE_CHECKING:
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

ModelCounts = tuple[int, int, int, int]
"""Prompt tokens, completion tokens, total tokens and calls of one model, cumulative."""

Baseline = Mapping[str, ModelCounts]
"""What was acknowledged, by AgentSpec's ``modelId``."""

_ZERO: Final[ModelCounts] = (0, 0, 0, 0)
_EMPTY_BYTES: Final = len(
    '{"windowStartedAt":"2026-04-01T00:00:00.000Z","models":[],"totalTokens":,"totalCalls":}'
) + 2 * len(str(2**63))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A window on its way."""

    usage: UsageWindow
    levels: Baseline
    """Where the sent models stand: the baseline once this is acknowledged."""
    ends_ns: int
    complete: bool
    """Whether every model with something new is in it."""


def model_levels(cells: Mapping[CellKey, Counts]) -> dict[str, ModelCounts]:
    """Cumulative counts by ``provider/model``; cached responses were not billed and are not in."""
    levels: dict[str, ModelCounts] = {}
    for key, counts in cells.items():
        model_id = f"{key.provider or 'unknown'}/{rolled_up_model(key)}"
        prompt, completion, total, calls = levels.get(model_id, _ZERO)
        levels[model_id] = (
            prompt + counts[INPUT],
            completion + counts[OUTPUT],
            total + total_tokens(counts),
            calls + finished(counts) - counts[CACHED],
        )
    return levels


class Windows:
    """The baseline of one incarnation.

    Args:
        started_ns: When the first window starts: nanoseconds since 1970.
        baseline: What an earlier process of this journal was acknowledged for.
    """

    def __init__(self, *, started_ns: int, baseline: Baseline | None = None) -> None:
        self._started_ns = started_ns
        self._baseline: dict[str, ModelCounts] = dict(baseline or {})

    @property
    def baseline(self) -> Baseline:
        """What was acknowledged, by model."""
        return dict(self._baseline)

    def open(
        self,
        cells: Mapping[CellKey, Counts],
        *,
        at_ns: int,
        room_bytes: int,
        without: frozenset[str] = frozenset(),
    ) -> OpenWindow:
        """The window from the baseline until now.

        Args:
            cells: All cells of the incarnation.
            at_ns: When they stood like this: nanoseconds since 1970.
            room_bytes: Models that do not fit wait for the next window; one goes at least.
            without: Models that the server refused.
        """
        models: list[ModelWindow] = []
        levels: dict[str, ModelCounts] = {}
        room = room_bytes - _EMPTY_BYTES
        complete = True
        for model_id, level in model_levels(cells).items():
            before = self._baseline.get(model_id, _ZERO)
            if level == before or model_id in without:
                continue
            prompt, completion, total, calls = (
                max(now - then, 0) for now, then in zip(level, before, strict=True)
            )
            model = ModelWindow(
                model_id=model_id,
                prompt_tokens=prompt,
                completion_tokens=completion,
                total_tokens=total,
                call_count=calls,
            )
            room -= _model_bytes(model)
            if room < 0 and models:
                complete = False
                break
            models.append(model)
            levels[model_id] = level
        usage = UsageWindow(
            window_started_at=to_wire(self._started_ns),
            window_started_ns=self._started_ns,
            models=tuple(models),
            total_tokens=sum(model.total_tokens for model in models),
            total_calls=sum(model.call_count for model in models),
        )
        return OpenWindow(usage=usage, levels=levels, ends_ns=at_ns, complete=complete)

    def acknowledge(self, window: OpenWindow) -> None:
        """The server has it: the next window starts where this one ended."""
        self._baseline.update(window.levels)
        # Its start is a window's key: never twice the same, in milliseconds, as on the wire.
        self._started_ns = max(window.ends_ns, self._started_ns + NS_PER_MS)

    def undelivered_tokens(self, cells: Mapping[CellKey, Counts]) -> int:
        """Tokens beyond the baseline."""
        return sum(
            max(level[2] - self._baseline.get(model_id, _ZERO)[2], 0)
            for model_id, level in model_levels(cells).items()
        )


def _model_bytes(model: ModelWindow) -> int:
    one = UsageWindow(
        window_started_at=None,
        window_started_ns=None,
        models=(model,),
        total_tokens=0,
        total_calls=0,
    )
    return len(to_bytes({"": usage_json(one)["models"]}))
