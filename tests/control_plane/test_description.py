"""The OpenAPI document, and schemathesis' attempts to break what it promises, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

if TYPE_CHECKING:
    from .conftest import Lab


_CHECKS: Any = checks  # its functions are not wholly typed


@pytest.fixture
def api(served_url: str) -> Any:
    return schemathesis.openapi.from_url(f"{served_url}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_the_answer_is_as_the_document_says(
    api: Any, served_keys: dict[str, str], mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    """Data as the document wants it, and data that breaks it, at every operation."""
    labels: set[str] = set()
    for result in api.get_all_operations():
        operation: Any = result.ok()
        if operation.path.endswith("/stream"):
            continue  # it never ends: the tests of `live` read it
        told = operation.definition.raw
        if mode is GenerationMode.NEGATIVE and not (
            told.get("parameters") or "requestBody" in told
        ):
            continue  # there is nothing in it to break

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            derandomize=True,
            deadline=None,
            database=None,
            max_examples=20,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        def ask(case: Any) -> None:
            # What no schema can say (sums, NUL in a free object, lists of words) may be refused;
            # what a GET does not know (further parameters) may be ignored.
            excluded = [_CHECKS.positive_data_acceptance]
            if case.method == "GET":
                excluded.append(_CHECKS.negative_data_rejection)
            case.call_and_validate(headers=served_keys, excluded_checks=excluded)

        with subtests.test(operation.label):
            labels.add(operation.label)
            ask()
    assert {"POST /api/v1/heartbeat", "POST /api/v1/register"} <= labels


async def test_the_document_is_whole(lab: Lab) -> None:
    document = (await lab.client.get("/openapi.json")).json()
    text = str(document)
    schemas = document["components"]["schemas"]
    for part in text.split("'#/components/schemas/")[1:]:
        assert part.split("'")[0] in schemas
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"], (method, path)
            assert "422" not in operation["responses"] or (
                "application/problem+json" in operation["responses"]["422"]["content"]
            ), (method, path)
