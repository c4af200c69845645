"""Those who watch scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tokenbeat
from tokenbeat import guard
from tokenbeat.attribution import add_scope_observer, remove_scope_observer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.attribution import Scope


class Watcher:
    """Notes what it is told; fails if it shall."""

    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[tuple[str, str, str | None]] = []
        self._fails = fails

    def scope_opened(self, scope: Scope) -> None:
        self.told.append(("opened", scope.name, None))
        if self._fails:
            msg = "mine"
            raise RuntimeError(msg)

    def scope_closed(self, scope: Scope, *, error_type: str | None) -> None:
        assert not scope.open
        self.told.append(("closed", scope.name, error_type))


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    add_scope_observer(watcher)
    yield watcher
    remove_scope_observer(watcher)


def test_opening_and_closing_is_told_once(watcher: Watcher) -> None:
    add_scope_observer(watcher)
    with tokenbeat.caller("lead_agent"):
        pass
    assert watcher.told == [("opened", "lead_agent", None), ("closed", "lead_agent", None)]


def test_an_error_is_told_by_its_type(watcher: Watcher) -> None:
    with pytest.raises(KeyError), tokenbeat.caller("lead_agent"):
        raise KeyError
    assert watcher.told[-1] == ("closed", "lead_agent", "KeyError")


def test_a_removed_one_is_told_no_more(watcher: Watcher) -> None:
    remove_scope_observer(watcher)
    with tokenbeat.caller("lead_agent"):
        pass
    assert watcher.told == []


@pytest.mark.usefixtures("lenient_guard")
def test_one_that_fails_disturbs_neither_the_application_nor_the_others(watcher: Watcher) -> None:
    failing = Watcher(fails=True)
    add_scope_observer(failing)
    before = guard.guarded_errors().get("attribution.scope_opened", 0)
    try:
        with tokenbeat.caller("lead_agent"):
            pass
    finally:
        remove_scope_observer(failing)
    assert guard.guarded_errors()["attribution.scope_opened"] == before + 1
    assert len(watcher.told) == 2
    assert len(failing.told) == 2
