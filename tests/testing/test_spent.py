"""The ledger of a test says what the model server billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.process import books, new_incarnation, replace_books
from tokenbeat.testing import Answer, Failure, spending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.testing import ModelServer

KEY = SecretStr("any")


def _gpt(server: ModelServer, *, model: str = "gpt-4o", stream_usage: bool = True) -> ChatOpenAI:
    return ChatOpenAI(
        model=model,
        base_url=server.openai_url,
        api_key=KEY,
        stream_usage=stream_usage,
        max_retries=0,
    )


def _claude(server: ModelServer) -> ChatAnthropic:
    return ChatAnthropic(
        model_name="claude-sonnet-4",
        base_url=server.anthropic_url,
        api_key=KEY,
        timeout=None,
        stop=None,
        max_retries=0,
    )


def test_what_was_spent_is_what_was_billed(
    model_server: ModelServer, tokenbeat_ledger: Ledger
) -> None:
    models: list[Any] = [_gpt(model_server), _gpt(model_server, model="o3"), _claude(model_server)]
    for model in models:
        model.invoke("hello")
        list(model.stream("hello again"))
        model.batch(["one", "two"])

    spent = spending(tokenbeat_ledger)

    bill = model_server.bill
    assert spent.total_tokens == bill.total_tokens > 0
    assert (spent.input_tokens, spent.output_tokens) == (bill.input_tokens, bill.output_tokens)
    assert spent.by_model == {model: total.total_tokens for model, total in bill.by_model().items()}
    assert sum(spent.by_caller.values()) == spent.total_tokens
    assert (spent.calls, spent.unknown_calls, spent.failed_attempts) == (12, 0, 0)


def test_what_nobody_told_and_what_failed_is_shown(
    model_server: ModelServer, tokenbeat_ledger: Ledger
) -> None:
    list(_gpt(model_server, stream_usage=False).stream("hello"))
    model_server.enqueue(Answer(fail=Failure(status=500)))
    with pytest.raises(Exception, match="scripted provider failed"):
        _gpt(model_server).invoke("hello")

    spent = spending(tokenbeat_ledger)

    assert (spent.calls, spent.unknown_calls, spent.failed_attempts) == (1, 1, 1)
    assert spent.total_tokens == 0 < model_server.bill.total_tokens


@pytest.fixture
def own_books(model_server: ModelServer) -> Iterator[Ledger]:
    """The process's books; back in their place, and counting is off, once the test has ended."""
    own = Ledger(incarnation=new_incarnation(), clock=SYSTEM_CLOCK)
    before = replace_books(own)
    yield own
    now = books()
    _gpt(model_server).invoke("hello")
    replace_books(before)
    assert now is own
    assert spending(own).calls == 0


def test_the_process_has_its_own_books_back_afterwards(
    model_server: ModelServer, own_books: Ledger, tokenbeat_ledger: Ledger
) -> None:
    assert books() is tokenbeat_ledger

    _gpt(model_server).invoke("hello")

    assert spending(tokenbeat_ledger).calls == 1
    assert spending(own_books).calls == 0
