"""A control plane beside the code that needs it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.live.background import running
from tokenbeat.control_plane.live.errors import ServerDidNotStart
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_taken_port_is_told_as_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = create_app(load_settings(data_dir=tmp_path))
        with pytest.raises(ServerDidNotStart), running(app, port=port):
            pass
