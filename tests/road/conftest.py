"""One control plane and one model server for all trees; each test has books of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.road.playing import Player
from tests.road.relay import Relay
from tests.road.stand import Stand, control_plane, counting, new_service, register
from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tokenbeat.control_plane.live.background import RunningPlane

NewStand = "Callable[[], AbstractContextManager[Stand]]"


@pytest.fixture(scope="package")
def models() -> Iterator[ModelServer]:
    """The providers. Its bill is emptied by whoever compares with it."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="package")
def player(models: ModelServer) -> Player:
    """Plays trees against the providers."""
    return Player(models)


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlane]:
    """A control plane with the time of this machine."""
    with control_plane(tmp_path_factory.mktemp("plane"), clock=SYSTEM_CLOCK) as running:
        yield running


@pytest.fixture(scope="package")
def new_stand(
    plane: RunningPlane, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AbstractContextManager[Stand]]:
    """Opens a stand of its own, of a service of its own: one for each example of a property."""
    folder: Path = tmp_path_factory.mktemp("spool")

    @contextmanager
    def opened() -> Generator[Stand]:
        with Relay(plane.address) as relay:
            stand = Stand(new_service(), folder, relay, SYSTEM_CLOCK)
            register(plane, stand.service, key_file=stand.key_file)
            with counting(stand):
                yield stand

    return opened
