"""Options are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from tokenbeat import semconv, settings
from tokenbeat.telemetry import TelemetryOptions
from tokenbeat.telemetry.errors import UnknownTelemetryOption
from tokenbeat.telemetry.options import HISTOGRAM_GROUPS


@pytest.mark.parametrize(
    ("vocabulary", "spoken", "schema_url"),
    [
        ("latest", (True, False), semconv.SCHEMA_URL_LATEST),
        ("legacy", (False, True), semconv.SCHEMA_URL_LEGACY),
        ("both", (True, True), semconv.SCHEMA_URL_LATEST),
    ],
)
def test_a_vocabulary_says_which_names_are_spoken(
    vocabulary: Any, spoken: tuple[bool, bool], schema_url: str
) -> None:
    options = TelemetryOptions(vocabulary=vocabulary)
    assert (options.latest, options.legacy) == spoken
    assert options.schema_url == schema_url


@pytest.mark.parametrize(
    ("wrong", "option", "value"),
    [
        ({"vocabulary": "newest"}, "vocabulary", "newest"),
        ({"histograms": frozenset({"all"})}, "histograms", "all"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(wrong: Any, option: str, value: str) -> None:
    with pytest.raises(UnknownTelemetryOption) as refused:
        TelemetryOptions(**wrong)
    assert (refused.value.option, refused.value.value) == (option, value)


def test_the_setting_knows_the_same_groups() -> None:
    assert settings.HISTOGRAM_GROUPS == HISTOGRAM_GROUPS


def test_by_default_both_vocabularies_are_spoken_and_three_groups_recorded() -> None:
    options = TelemetryOptions()
    assert options.vocabulary == "both"
    assert options.histograms == {"tokens", "duration", "agents"}
    assert options.incarnation_label
    assert not options.hash_ids
