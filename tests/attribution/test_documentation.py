"""The examples of the page on callers run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.process import new_incarnation, replace_books

PAGE = Path(__file__).parents[2] / "docs" / "attribution.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int) -> None:
    ledger = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK)
    before = replace_books(ledger)
    try:
        example = compile("import tokenbeat\n" + EXAMPLES[number], str(PAGE), "exec")
        exec(example, {})  # noqa: S102 the page's own code, as a reader would run it
    finally:
        replace_books(before)
    if "tokenbeat.run(" in EXAMPLES[number]:
        (run,) = ledger.snapshot().runs
        assert (run.run_id, run.user, run.status) == ("r-1", "ada", "success")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
