"""Each name stands once, says what it means, and is explained to users."""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tokenbeat import semconv
from tokenbeat.telemetry.definitions import COUNTERS, GAUGES, HISTOGRAMS

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"(gen_ai|tokenbeat|server|error)\.[a-z_0-9.]+")
CONSTANTS = {
    name: value
    for name, value in vars(semconv).items()
    if not name.startswith("_") and isinstance(value, str) and NAME.fullmatch(value)
}


def test_no_name_has_two_constants() -> None:
    # One name is both an attribute and a metric: what is billed under no direction.
    twice = {value for value, times in Counter(CONSTANTS.values()).items() if times > 1}
    assert twice == {"tokenbeat.usage.unclassified_tokens"}


def test_every_constant_says_what_it_means() -> None:
    body = ast.parse((ROOT / "src/tokenbeat/semconv.py").read_text(encoding="utf-8")).body
    silent = [
        node.target.id
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]
    assert silent == []


def test_no_other_module_spells_a_name_out() -> None:
    names = set(CONSTANTS.values())
    spelled = [
        f"{path.relative_to(ROOT)}: {node.value}"
        for path in (ROOT / "src/tokenbeat/telemetry").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert spelled == []


def test_every_metric_and_attribute_is_in_the_page_for_users() -> None:
    page = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    metrics = {**COUNTERS, **GAUGES, **HISTOGRAMS}
    assert [name for name in metrics if f"`{name}`" not in page] == []


def test_every_metric_is_in_the_contract_of_what_leaves() -> None:
    table = yaml.safe_load(
        (ROOT / "tests/telemetry/otlp_contract.yaml").read_text(encoding="utf-8")
    )
    assert set(table["metrics"]) == {*COUNTERS, *GAUGES, *HISTOGRAMS}


@pytest.mark.parametrize(
    "buckets",
    [
        semconv.TOKEN_BUCKETS,
        semconv.DURATION_BUCKETS,
        semconv.AGENT_BUCKETS,
        semconv.WORKFLOW_BUCKETS,
        semconv.COUNT_BUCKETS,
    ],
)
def test_buckets_rise(buckets: tuple[float, ...]) -> None:
    assert list(buckets) == sorted(set(buckets))
