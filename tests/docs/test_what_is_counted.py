"""Every example of the page on what is counted, run on real books and compared with its lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

import tokenbeat
from tokenbeat.clock import ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.bounds import SECOND_NS
from tokenbeat.ledger.report import CallToken, Report
from tokenbeat.usage import counts as c
from tokenbeat.usage.caller import UNATTRIBUTED, Caller
from tokenbeat.usage.combined import usage_of_candidates
from tokenbeat.usage.reported import read_usage
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.ledger.report import RunRef
    from tokenbeat.ledger.snapshot import CellState
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.counts import Counts

PAGE = Path(__file__).parents[2] / "docs" / "what-is-counted.md"
LEAD = Caller().child("lead_agent", "lead_agent")
RESEARCHER = LEAD.child("subagent", "researcher")
TOKENS = ("input", "output", "cache read", "cache write", "reasoning", "unclassified",
          "cached input", "cached output")  # fmt: skip


def told(counts: Counts) -> str:
    """Counts in the page's words."""
    by_name = dict(zip(c.COUNT_FIELDS, counts, strict=True))
    calls = {name: by_name[name] for name in c.COUNT_FIELDS[: c.WITH_USAGE]}
    calls["unknown usage"] = c.unknown_usage(counts)
    calls |= {"partial": by_name["partial"], "cached": by_name["cached"]}
    kinds = ", ".join(f"{name} {n}" for name, n in calls.items() if n)
    parts = [f"calls {c.finished(counts)} ({kinds})"]
    if counts[c.FAILED_ATTEMPTS]:
        parts.append(f"failed attempts {counts[c.FAILED_ATTEMPTS]}")
    for name in TOKENS:
        tokens = by_name[f"{name.replace(' ', '_')}_tokens"]
        parts += [f"{name} {tokens}"] if tokens else []
    return ", ".join([*parts, f"total {c.total_tokens(counts)}"])


class Stage:
    """Books on a clock that stands still, driven as a framework and a library below it would."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = Ledger(incarnation="a" * 16, clock=self.clock, keep_cuts=False)

    def chat(
        self, *, inside: Report | None = None, model: str = "gpt-4o", caller: Caller = LEAD,
        run: RunRef | None = None,
    ) -> Report:  # fmt: skip
        return self.ledger.start(
            source="framework", operation="chat", provider="openai", request_model=model,
            caller=caller, run=run, inside=inside, member_of=CallToken(),
        )  # fmt: skip

    def request(self, chat: Report) -> Report:
        return self.ledger.start(
            source="library", operation="chat", provider="openai", request_model="gpt-4o",
            caller=UNATTRIBUTED, token=chat.member_of,
        )  # fmt: skip

    def end(
        self, report: Report, usage: tuple[int, int] | TokenUsage | None = None, *,
        outcome: Outcome = "ok", partial: bool = False, cached: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(usage, tuple):
            usage = TokenUsage(input_tokens=usage[0], output_tokens=usage[1])
        self.ledger.end(report, outcome=outcome, usage=usage, partial=partial, cached=cached)

    def reported(self, usage: dict[str, Any], *, provider: str = "openai") -> None:
        read = read_usage(usage, provider=provider)
        self.end(self.chat(), read.usage, partial=read.malformed)

    def line(self) -> str:
        return told(self.ledger.snapshot().totals)

    def surplus(self) -> dict[str, int]:
        return dict(self.ledger.snapshot().books.reconciliations)

    def rows(self, cells: tuple[CellState, ...]) -> list[str]:
        return [f"{cell.key.caller}: {told(cell.counts)}" for cell in cells]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def page() -> dict[str, list[str]]:
    """The page's lines of what is counted, by the heading that they stand under."""
    lines: dict[str, list[str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        found = re.findall(r"^counted: (.*)$", section, re.MULTILINE)
        if found:
            lines[section.partition("\n")[0]] = found
    return lines


def one_request(stage: Stage) -> list[str]:
    second = Stage()
    for usage in ((10, 5), (12, 7)):
        stage.end(stage.chat(), usage)
    both = TokenUsage(input_tokens=10, output_tokens=9)
    second.end(second.chat(), usage_of_candidates([both, both]))
    return [stage.line(), second.line()]


def wholes(stage: Stage) -> list[str]:
    anthropic, total = Stage(), Stage()
    stage.reported({
        "prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 25},
    })  # fmt: skip
    anthropic.reported({
        "input_tokens": 100, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 200,
        "output_tokens": 50,
    }, provider="anthropic")  # fmt: skip
    total.reported({"prompt_tokens": 200, "completion_tokens": 142, "total_tokens": 500})
    return [stage.line(), anthropic.line(), total.line()]


def envelopes(stage: Stage) -> list[str]:
    filled, router, surplus = Stage(), Stage(), Stage()
    for each, request, chat in ((stage, (10, 5), (10, 5)), (filled, None, (100, 40))):
        outer = each.chat()
        each.end(each.request(outer), request)
        each.end(outer, chat)
    outer = router.chat(model="router")
    router.end(router.chat(inside=outer), (100, 20))
    router.end(outer, (300, 60))
    outer = surplus.chat()
    surplus.end(surplus.request(outer), (100, 20))
    surplus.end(outer, (130, 25))
    assert surplus.surplus() == {"envelope_surplus": 35}
    lines = stage.rows(stage.ledger.snapshot().cells)
    return [*lines, filled.line(), router.line(), surplus.line()]


def attempts(stage: Stage) -> list[str]:
    broken, unseen = Stage(), Stage()
    for _ in range(2):
        stage.end(stage.chat(), outcome="error")
    stage.end(stage.chat(), (10, 5))
    broken.end(broken.chat(), (10, 3), outcome="error", partial=True)
    outer = unseen.chat()
    unseen.end(unseen.request(outer), outcome="error")
    unseen.end(outer, (10, 5))
    return [stage.line(), broken.line(), unseen.line()]


def partial(stage: Stage) -> list[str]:
    chat = stage.chat()
    chat.heard = TokenUsage(input_tokens=10)
    stage.end(chat, outcome="cancelled")
    return [stage.line()]


def impossible(stage: Stage) -> list[str]:
    part = Stage()
    stage.reported({"input_tokens": 100, "output_tokens": -3})
    part.reported({
        "prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 7}, "completion_tokens": 2,
    })  # fmt: skip
    return [stage.line(), part.line()]


def raised(stage: Stage) -> list[str]:
    lower, renamed = Stage(), Stage()
    whole = TokenUsage(unclassified_tokens=342)
    for each, first, later in (
        (stage, (10, 0), (10, 5)), (lower, (10, 5), (8, 5)), (renamed, whole, (200, 142)),
    ):  # fmt: skip
        chat = each.chat()
        each.end(chat, first)
        each.end(chat, later)
    assert renamed.surplus() == {"not_raised": 342}
    return [each.line() for each in (stage, lower, renamed)]


def callers(stage: Stage) -> list[str]:
    for caller, usage in ((LEAD, (100, 20)), (RESEARCHER, (40, 8)), (UNATTRIBUTED, (7, 1))):
        stage.end(stage.chat(caller=caller), usage)
    return [*stage.rows(stage.ledger.snapshot().cells), stage.line()]


def bounds(stage: Stage) -> list[str]:
    for number in range(1_003):
        stage.end(stage.chat(caller=LEAD.child("tool", f"t{number}")), (10, 0))
    cells = stage.ledger.snapshot().cells
    own = [cell for cell in cells if cell.key.caller != "other"]
    tokens = sum(cell.counts[c.INPUT] for cell in own)
    rest = tuple(cell for cell in cells if cell.key.caller == "other")
    first = f"{len(own):,} callers of their own: input {tokens:,}"
    return [first, *stage.rows(rest), stage.line()]


EXAMPLES: dict[str, Callable[[Stage], list[str]]] = {
    "One call is one request": one_request,
    "Input and output are wholes": wholes,
    "Who counts when several look: envelope and leaf": envelopes,
    "Attempts that fail": attempts,
    "Partial usage": partial,
    "Numbers that cannot be": impossible,
    "Only raise": raised,
    "Callers": callers,
    "Bounds": bounds,
}
WITH_LANGCHAIN = {"Cached responses", "Unknown usage", "Runs"}


@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_books_say_what_the_page_says(
    heading: str, stage: Stage, page: dict[str, list[str]]
) -> None:
    assert EXAMPLES[heading](stage) == page[heading]


def test_every_example_of_the_page_is_run(page: dict[str, list[str]]) -> None:
    assert set(page) == set(EXAMPLES) | WITH_LANGCHAIN


def model(*answers: tuple[int, int] | None, **options: Any) -> FakeMessagesListChatModel:
    messages = [
        AIMessage(content="so", usage_metadata=None if told is None else {
            "input_tokens": told[0], "output_tokens": told[1], "total_tokens": sum(told),
        })
        for told in answers
    ]  # fmt: skip
    return FakeMessagesListChatModel(responses=[*messages], **options)


def test_an_answer_from_langchains_cache(
    tokenbeat_ledger: Ledger, page: dict[str, list[str]]
) -> None:
    chat = model((10, 5), cache=InMemoryCache())
    chat.invoke("Hello")
    chat.invoke("Hello")
    assert [told(tokenbeat_ledger.snapshot().totals)] == page["Cached responses"]


def test_a_provider_that_says_nothing(tokenbeat_ledger: Ledger, page: dict[str, list[str]]) -> None:
    chat = model((10, 5), None)
    chat.invoke("Hello")
    chat.invoke("Hello")
    assert [told(tokenbeat_ledger.snapshot().totals)] == page["Unknown usage"]


def test_runs(tokenbeat_ledger: Ledger, stage: Stage, page: dict[str, list[str]]) -> None:
    chat = model((10, 5))
    chat.invoke("Hello")
    assert tokenbeat_ledger.snapshot().runs == ()
    with tokenbeat.run(run_id="r-1"):
        chat.invoke("Hello")
    total = told(tokenbeat_ledger.snapshot().totals)
    run = stage.ledger.open_run("r-2")
    stage.end(stage.chat(run=run), (100, 20))
    late = stage.chat(caller=RESEARCHER, run=run)
    stage.ledger.close_run(run, status="timeout")
    stage.clock.advance(2 * SECOND_NS)
    stage.end(late, (40, 8))
    lines = [total]
    for ledger in (tokenbeat_ledger, stage.ledger):
        (state,) = ledger.snapshot().runs
        marks = f"{state.status}, late" if state.late else state.status
        counts = c.sum_counts(cell.counts for cell in state.cells)
        lines.append(f"run {state.run_id} ({marks}): {told(counts)}")
    assert lines == page["Runs"]
