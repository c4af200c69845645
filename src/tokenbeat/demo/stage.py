"""Everything around the agent: model server, control plane, recorder, OTLP sink, folders."""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokenbeat.demo.otlp_sink import OtlpSink
from tokenbeat.demo.processes import background, first_line, run
from tokenbeat.demo.recorder import Recorder
from tokenbeat.demo.script import script
from tokenbeat.testing import script_as_json

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SERVICE: Final = "research-agent"
CHUNK_DELAY_S: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What stands ready when the agent starts.

    Attributes:
        folder: For this demo alone: journals, database, keys, logs.
        control_plane: The control plane's address; its page is at ``/``.
        recorder: What the agent believes to be the control plane.
        sink: Where OTLP goes.
        openai_url: The model server, or None in a live run.
        anthropic_url: The same for Anthropic's API.
        bill_url: Its bill, or None in a live run.
    """

    folder: Path
    control_plane: str
    recorder: Recorder
    sink: OtlpSink
    openai_url: str | None = None
    anthropic_url: str | None = None
    bill_url: str | None = None

    @property
    def spool(self) -> Path:
        """Where the agent's journals are."""
        return self.folder / "spool"

    @property
    def key_file(self) -> Path:
        """The agent's key."""
        return self.folder / "agent.key"


@contextmanager
def stage(folder: Path, *, live: bool, hurry: bool, port: int) -> Generator[Stage, None, None]:
    """Sets everything up, and takes it down again.

    Args:
        folder: An empty folder.
        live: No model server: the agent talks to a real endpoint.
        hurry: The model server answers without delay.
        port: Of the control plane; 0 takes a free one.
    """
    with ExitStack() as stack:
        data = folder / "control-plane"
        log = folder / "control-plane.log"
        serve = [
            sys.executable,
            "-m",
            "tokenbeat.cli",
            "serve",
            "--port",
            str(port),
            "--data-dir",
            str(data),
        ]
        process = stack.enter_context(background(serve, variables={}, log=log))
        line = first_line(process, name="control plane", log=log)
        found = re.search(r"http://\S+", line)
        control_plane = found.group() if found else ""
        run(
            "register",
            ["-m", "tokenbeat.cli", "register", SERVICE, "--url", control_plane,
             "--admin-key-file", str(data / "admin.key"), "--key-file", str(folder / "agent.key")],
            variables={},
        )  # fmt: skip
        model_server: dict[str, str] = {}
        if not live:
            text = json.dumps(script_as_json(script(chunk_delay_s=0 if hurry else CHUNK_DELAY_S)))
            (folder / "script.json").write_text(text, encoding="utf-8")
            models = [sys.executable, "-m", "tokenbeat.testing.model_server", "--script"]
            log = folder / "model-server.log"
            process = stack.enter_context(
                background([*models, str(folder / "script.json")], variables={}, log=log)
            )
            model_server = json.loads(first_line(process, name="model server", log=log))
        yield Stage(
            folder=folder, control_plane=control_plane,
            recorder=stack.enter_context(Recorder(control_plane)),
            sink=stack.enter_context(OtlpSink()), openai_url=model_server.get("openai_url"),
            anthropic_url=model_server.get("anthropic_url"),
            bill_url=model_server.get("bill_url"),
        )  # fmt: skip
