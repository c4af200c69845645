"""What telemetry is told at its start: the vocabulary, and which histograms are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from tokenbeat import semconv
from tokenbeat.telemetry.errors import UnknownTelemetryOption

HistogramGroup = Literal[
    "tokens", "token_distribution", "duration", "legacy_time", "chunks", "agents"
]
"""Histograms that are turned on and off together; `docs/telemetry.md` has what each costs.

- ``tokens``: the legacy ``gen_ai.client.token.usage`` (two values for each call);
- ``token_distribution``: ``gen_ai.client.inference.operation.*_tokens`` (two values);
- ``duration``: of calls (one value);
- ``legacy_time``: with ``both``, durations and chunks under their legacy names as well;
- ``chunks``: waits of streams (two values for each stream);
- ``agents``: durations and counts of agents, tools and workflows (none for a model call).
"""

HISTOGRAM_GROUPS: Final[frozenset[HistogramGroup]] = frozenset(get_args(HistogramGroup))
"""All of them."""

DEFAULT_HISTOGRAMS: Final[frozenset[HistogramGroup]] = frozenset({"tokens", "duration", "agents"})
"""What is on unless somebody says otherwise: three values, about 30 µs of CPU, for each call."""

_VOCABULARIES: Final[frozenset[str]] = frozenset(get_args(semconv.Vocabulary))


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryOptions:
    """How the books are shown as metrics and spans.

    Raises:
        UnknownTelemetryOption: A value that is no vocabulary, or no group of histograms.
    """

    vocabulary: semconv.Vocabulary = "both"
    """Names of the conventions: ``latest``, ``legacy``, ``both``. Source: ``TOKENBEAT_SEMCONV``."""

    histograms: frozenset[HistogramGroup] = DEFAULT_HISTOGRAMS
    """Groups of histograms that are recorded. Source: ``TOKENBEAT_HISTOGRAMS``."""

    incarnation_label: bool = True
    """Whether every series names its incarnation. Without it series reset, two workers write into
    one, and windows in Prometheus are estimates. Source: ``TOKENBEAT_INCARNATION_LABEL``."""

    hash_ids: bool = False
    """Whether run and thread ids leave as hashes. Source: ``TOKENBEAT_HASH_IDS``."""

    def __post_init__(self) -> None:
        if self.vocabulary not in _VOCABULARIES:
            raise UnknownTelemetryOption(option="vocabulary", value=self.vocabulary)
        for group in self.histograms - HISTOGRAM_GROUPS:
            raise UnknownTelemetryOption(option="histograms", value=group)

    @property
    def latest(self) -> bool:
        """Whether the latest names are spoken."""
        return self.vocabulary != "legacy"

    @property
    def legacy(self) -> bool:
        """Whether the legacy names are spoken."""
        return self.vocabulary != "latest"

    @property
    def schema_url(self) -> str:
        """The schema that our scopes declare."""
        return semconv.SCHEMA_URL_LATEST if self.latest else semconv.SCHEMA_URL_LEGACY
