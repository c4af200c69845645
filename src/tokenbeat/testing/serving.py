"""The model server as an object: starts in a thread, has an address, a bill and a script."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from tokenbeat.testing.app import Desk, create_app
from tokenbeat.testing.bill import Bill
from tokenbeat.testing.connections import Connections, Pauses, protocol_with
from tokenbeat.testing.errors import ModelServerNotRunning
from tokenbeat.testing.ids import Ids
from tokenbeat.testing.script import Player, Script
from tokenbeat.testing.stored import StoredResponses

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from tokenbeat.testing.answer import Answer
    from tokenbeat.testing.script import Rule

_HOST = "127.0.0.1"
_LONGER_THAN_A_TEST_S = 300


class ModelServer:
    """A local server that speaks the providers' HTTP APIs, with scripted answers and a bill.

    It listens on the loopback address only, takes any API key, and reaches nothing::

        with ModelServer() as server:
            server.enqueue(Answer(text="Hi", usage=Usage(input_tokens=10, output_tokens=2)))
            client = OpenAI(base_url=server.openai_url, api_key="any")
            client.chat.completions.create(model="gpt-4o", messages=[...])
            assert server.bill.total_tokens == 12

    Every method may be called from any thread. The bill can still be read after the end.
    """

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        """Prepare a server; ``port`` 0 takes a free one."""
        script = script or Script()
        self.bill = Bill()
        self._port = port
        self._player = Player(script)
        self._ids = Ids(seed=script.seed)
        self._pauses = Pauses()
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        """Start; returns when the server answers."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, cutting what is still open."""
        self.stop()

    def start(self) -> None:
        """Listen and answer; returns when the server does. Does nothing if it already runs."""
        if self._running is None:
            connections = Connections()
            desk = Desk(
                player=self._player,
                bill=self.bill,
                ids=self._ids,
                connections=connections,
                pauses=self._pauses,
                stored=StoredResponses(),
                now_s=time.time,
            )
            self._running = _Running(desk, port=self._port)

    def stop(self) -> None:
        """Cut every connection and end the server's thread. Does nothing if it does not run."""
        running, self._running = self._running, None
        if running is not None:
            running.end()

    @property
    def url(self) -> str:
        """The server's address, without a path.

        Raises:
            ModelServerNotRunning: it has none.
        """
        if self._running is None:
            raise ModelServerNotRunning(wanted="url")
        return f"http://{_HOST}:{self._running.port}"

    @property
    def openai_url(self) -> str:
        """What OpenAI's clients call ``base_url``."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """What Anthropic's clients call ``base_url``."""
        return self.url

    def environ(self) -> dict[str, str]:
        """Environment variables that send OpenAI's and Anthropic's clients here."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": "scripted",
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": "scripted",
        }

    def enqueue(self, *answers: Answer) -> None:
        """Add answers, each given once, to requests that no rule answers."""
        self._player.enqueue(*answers)

    def add(self, *rules: Rule) -> None:
        """Add rules after those of the script."""
        self._player.add(*rules)

    @property
    def queued(self) -> int:
        """How many queued answers have not been given yet."""
        return self._player.queued

    def wait_until_paused(self, *, answers: int = 1, timeout_s: float = 5.0) -> bool:
        """Wait until so many answers stand at their ``pause_after_chunks``; whether in time."""
        return self._pauses.wait_for(held=answers, timeout_s=timeout_s)

    def resume(self) -> int:
        """Let every paused answer go on; how many those were."""
        return self._pauses.release()


class _Running:
    """One run of the server: a listening socket, a thread and its event loop."""

    def __init__(self, desk: Desk, *, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((_HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            create_app(desk),
            http=protocol_with(desk.connections),
            ws="none",
            lifespan="off",
            proxy_headers=False,  # a forwarded address is not the connection to cut
            log_config=None,  # loggers are the whole process's: leave them as they are
            timeout_keep_alive=_LONGER_THAN_A_TEST_S,
        )
        self._server = _StoppableServer(config, cut_all=desk.connections.cut_all)
        self._thread = threading.Thread(
            target=self._run, name=f"tokenbeat-model-server-{self.port}", daemon=True
        )
        self._thread.start()
        self._server.answers.wait()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._socket.close()
            self._server.answers.set()

    def end(self) -> None:
        self._server.stop()
        self._thread.join()


class _StoppableServer(uvicorn.Server):
    """uvicorn's server, stopped by another thread at once instead of by polling."""

    def __init__(self, config: uvicorn.Config, *, cut_all: Callable[[], None]) -> None:
        super().__init__(config)
        self.answers = threading.Event()
        self._cut_all = cut_all
        self._stop: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        self.answers.set()
        await stopped.wait()
        self._cut_all()

    def stop(self) -> None:
        """Ask the server's loop to end; from any thread."""
        if self._stop is not None:
            self._stop()
