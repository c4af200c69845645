"""Runs the research agent as its user would: by ``opentelemetry-instrument`` and variables."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokenbeat.demo.errors import NoEndpoint, OverTheCap, ProcessFailed
from tokenbeat.demo.processes import background
from tokenbeat.demo.script import MODELS
from tokenbeat.demo.stage import SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.demo.stage import Stage

LIVE_MODEL: Final = "gpt-4o-mini"
LIVE_CALL_TOKENS: Final = 300
"""The most output tokens of one live call."""
_AGENT: Final = Path(__file__).with_name("research_agent.py")
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """What the agent is to do.

    Attributes:
        runs: How many conversations.
        parallel: How many of them at once, in one process.
        live: Against the endpoint of ``OPENAI_API_KEY`` / ``OPENAI_BASE_URL``.
        cap_tokens: What a live run may spend; past it the agent is stopped.
    """

    runs: int = 1
    parallel: int = 1
    live: bool = False
    cap_tokens: int = 20_000


def variables(stage: Stage, *, live: bool) -> dict[str, str]:
    """The agent's environment: what the README's one line sets, with this demo's addresses.

    Raises:
        NoEndpoint: A live run without a key.
    """
    common = {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_METRICS_EXPORTER": "otlp,tokenbeat",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": stage.sink.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "TOKENBEAT_CONTROL_PLANE_URL": stage.recorder.url,
        "TOKENBEAT_API_KEY_FILE": str(stage.key_file),
        "TOKENBEAT_HEARTBEAT_INTERVAL": "1000",
        "TOKENBEAT_SPOOL_DIR": str(stage.spool),
    }
    if not live:
        return {
            **common,
            "OPENAI_API_KEY": "demo", "OPENAI_BASE_URL": stage.openai_url or "",
            "ANTHROPIC_API_KEY": "demo", "ANTHROPIC_BASE_URL": stage.anthropic_url or "",
        }  # fmt: skip
    key = os.environ.get("OPENAI_API_KEY")
    if not key:
        raise NoEndpoint
    base_url = os.environ.get("OPENAI_BASE_URL")
    return {
        **common, "OPENAI_API_KEY": key, **({"OPENAI_BASE_URL": base_url} if base_url else {})
    }  # fmt: skip


def converse(
    stage: Stage, conversations: Conversations, *, look: Callable[[], None],
    spent_tokens: Callable[[], int],
) -> None:  # fmt: skip
    """Runs the agent to its end.

    Args:
        stage: What it talks to.
        conversations: What it is to do.
        look: Called a few times a second while it runs.
        spent_tokens: What it has spent so far, for the cap of a live run.

    Raises:
        ProcessFailed: The agent ended with an error.
        OverTheCap: A live run spent too much and was stopped.
        NoEndpoint: A live run without a key.
    """
    live = conversations.live
    models = dict.fromkeys(MODELS, f"openai:{LIVE_MODEL}") if live else MODELS
    arguments = [f"--{role}={name}" for role, name in models.items()]
    arguments += [f"--runs={conversations.runs}", f"--parallel={conversations.parallel}"]
    if live:
        arguments.append(f"--max-tokens={LIVE_CALL_TOKENS}")
    command = [
        str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable,
        str(_AGENT),
        *arguments,
    ]  # fmt: skip
    log = stage.folder / "agent.log"
    environ = variables(stage, live=live)
    with background(command, variables=environ, log=log) as process:
        while process.poll() is None:
            look()
            spent = spent_tokens() if live else 0
            if spent > conversations.cap_tokens:
                process.terminate()
                raise OverTheCap(spent_tokens=spent, cap_tokens=conversations.cap_tokens)
            time.sleep(_LOOK_S)
        look()
        if process.returncode:
            raise ProcessFailed(name="the agent", said=log.read_text(encoding="utf-8")[-2_000:])
