"""Golden messages for the tests of both ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each golden file: ``valid_message`` or ``invalid_message`` asks for them."""
    for fixture, folder in (("valid_message", "valid"), ("invalid_message", "invalid")):
        if fixture in metafunc.fixturenames:
            paths = sorted((GOLDEN / folder).glob("*.json"))
            messages: list[Any] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
            metafunc.parametrize(fixture, messages, ids=[path.stem for path in paths])
