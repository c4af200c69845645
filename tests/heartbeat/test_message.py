"""The parser, the encoder and the JSON Schema say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tokenbeat.heartbeat import limits
from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.heartbeat.message import (
    MESSAGE_VERSION,
    Beat,
    Cell,
    CutCells,
    Gap,
    Health,
    Heartbeat,
    RunCells,
    Service,
    encode,
    from_wire,
    parse_heartbeat,
    schema,
)
from tokenbeat.usage.call import RUN_STATUSES, CellKey
from tokenbeat.usage.counts import COUNT_FIELDS, WIRE_NAMES

VALIDATOR: Any = Draft202012Validator(schema())

DAY_NS = 86_400_000_000_000
NAMES = st.text(st.characters(exclude_categories=()), min_size=1, max_size=300)
COUNTS = st.tuples(*[st.integers(0, limits.MAX_COUNT) for _ in COUNT_FIELDS])
KEYS = st.builds(
    CellKey,
    st.sampled_from(limits.WIRE_OPERATIONS),
    NAMES,
    st.none() | NAMES,
    st.none() | NAMES,
    st.none() | NAMES,
    NAMES,
)
CELLS = st.lists(st.builds(Cell, KEYS, COUNTS), max_size=3).map(tuple)
TIMES = st.integers(0, 200 * 365 * DAY_NS)
RUNS = st.builds(
    RunCells,
    run_id=NAMES,
    part=st.integers(0, limits.MAX_COUNT),
    thread_id=st.none() | NAMES,
    user=st.none() | NAMES,
    labels=st.dictionaries(NAMES, NAMES, max_size=3),
    status=st.sampled_from(RUN_STATUSES),
    started_ns=TIMES,
    ended_ns=st.none() | TIMES,
    late=st.booleans(),
    cells=CELLS,
)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_schema_and_the_parser_take_a_valid_message(valid_message: dict[str, Any]) -> None:
    VALIDATOR.validate(valid_message)
    parse_heartbeat(valid_message)


def test_a_parsed_message_encodes_to_what_it_was_parsed_from(
    valid_message: dict[str, Any],
) -> None:
    heartbeat = parse_heartbeat(valid_message)
    assert parse_heartbeat(json.loads(encode(heartbeat))) == heartbeat


def test_an_invalid_message_is_refused_with_its_field(invalid_message: dict[str, Any]) -> None:
    with pytest.raises(MessageRefused) as refused:
        parse_heartbeat(invalid_message["message"])
    assert refused.value.field == invalid_message["field"]
    assert refused.value.largest == invalid_message.get("largest")
    assert str(refused.value) == f"{refused.value.field} {refused.value.reason}"


def test_the_schema_refuses_an_invalid_message(invalid_message: dict[str, Any]) -> None:
    beyond_schema = invalid_message.get("beyondSchema", False)
    assert VALIDATOR.is_valid(invalid_message["message"]) is beyond_schema


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-0.0"])
def test_what_json_readers_let_through_is_no_count(number: str) -> None:
    body = json.loads('{"health": {}, "gap": {}, "usage": {"totalTokens": %s}}' % number)  # noqa: UP031 braces
    with pytest.raises(MessageRefused) as refused:
        parse_heartbeat(body)
    assert refused.value.field == "usage.totalTokens"


@pytest.mark.parametrize("body", [[], "x", 1, None])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(MessageRefused, match="body must be an object"):
        parse_heartbeat(cast("Any", body))


def test_the_schema_has_the_limits_and_names_of_the_code() -> None:
    defs = schema()["$defs"]
    assert defs["count"]["maximum"] == limits.MAX_COUNT
    assert defs["name"]["maxLength"] == limits.NAME_CHARACTERS
    assert defs["caller"]["maxLength"] == limits.CALLER_CHARACTERS
    beat = defs["tokenbeat"]["properties"]
    assert beat["version"]["const"] == MESSAGE_VERSION
    assert beat["cuts"]["maxItems"] == limits.MAX_CUTS
    assert beat["runs"]["maxItems"] == limits.MAX_RUNS
    assert beat["nonces"]["maxItems"] == limits.MAX_NONCES
    assert defs["cut"]["properties"]["cells"]["maxItems"] == limits.MAX_CELLS
    cell = defs["cell"]["properties"]
    assert cell["operation"]["enum"] == list(limits.WIRE_OPERATIONS)
    for group in ("calls", "tokens"):
        names = [name for its_group, name in WIRE_NAMES.values() if its_group == group]
        assert list(cell[group]["properties"]) == names


@given(cells=CELLS, runs=st.lists(RUNS, max_size=2).map(tuple), at_ns=TIMES)
def test_whatever_is_encoded_is_valid_and_reads_back(
    cells: tuple[Cell, ...], runs: tuple[RunCells, ...], at_ns: int
) -> None:
    beat = Beat(
        incarnation="a" * 16,
        service=Service(name="x", started_ns=0),
        sent_ns=at_ns,
        interval_ms=30_000,
        revision=1,
        base=0,
        nonce="n",
        cuts=(CutCells(at_ns=at_ns, cells=cells),),
        runs=runs,
    )
    message = json.loads(encode(Heartbeat(health=Health({}), gap=Gap({}), beat=beat)))
    VALIDATOR.validate(message)
    read = parse_heartbeat(message).beat
    assert read is not None
    assert [cell.counts for cell in read.cuts[0].cells] == [cell.counts for cell in cells]
    assert len({cell.key for cell in read.cuts[0].cells}) == len({cell.key for cell in cells})
    assert [run.part for run in read.runs] == [run.part for run in runs]


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("ready", "Healthy"),
        ("healthy", "Healthy"),
        ("degraded", "Degraded"),
        ("unavailable", "Unhealthy"),
        ("?", "Unknown"),
        (7, "Unknown"),
        (None, "Unknown"),
    ],
)
def test_a_status_has_a_phase(status: object, phase: str) -> None:
    assert Health({"status": status}).phase == phase


@pytest.mark.parametrize(
    ("gap", "score"),
    [
        ({"score": 93}, 93),
        ({"overallScore": 90.5}, 90),
        ({"score": 1e999}, 100),
        ({"score": -3}, 0),
        ({"score": float("nan")}, None),
        ({"score": True}, None),
        ({"score": "9"}, None),
        ({}, None),
    ],
)
def test_a_gap_has_a_score_from_0_to_100(gap: dict[str, object], score: int | None) -> None:
    assert Gap(gap).score == score


def test_agentspec_times_with_microseconds_are_read() -> None:
    usage = {"windowStartedAt": "2026-04-01T00:00:00.000000+00:00", "totalTokens": 0}
    body = {"health": {}, "gap": {}, "usage": usage | {"totalCalls": 0}}
    window = parse_heartbeat(body).usage
    assert window is not None
    assert window.window_started_ns == from_wire("2026-04-01T00:00:00.000Z")


def test_the_message_imports_nothing_heavy() -> None:
    code = (
        "import sys; import tokenbeat.heartbeat.message; "
        "print([m for m in ('opentelemetry', 'pydantic', 'urllib3') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
