"""The server as a process: prints where it is, serves, and ends when told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tokenbeat.testing import Answer, Rule, Script, Usage, script_as_json
from tokenbeat.testing.model_server import main

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-W", "error", "-m", "tokenbeat.testing.model_server"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_process_plays_a_script_from_a_file(tmp_path: Path, ending: signal.Signals) -> None:
    rule = Rule(model="m", label="lead", answers=(Answer(usage=Usage(input_tokens=7)),))
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script_as_json(Script(rules=(rule,)))), "utf-8")
    with subprocess.Popen(
        [*COMMAND, "--script", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        httpx.post(f"{told['openai_url']}/chat/completions", json=body)
        bill = httpx.get(told["bill_url"]).json()
        process.send_signal(ending)
        _, errors = process.communicate(timeout=20)

    assert told["pid"] == process.pid
    assert bill["by_label"][0]["label"] == "lead"
    assert bill["total"]["total_tokens"] == 7
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "JSON|Expecting"), ('{"rulez": []}', "rulez"), (None, "No such file")]
)
def test_a_script_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    path = tmp_path / "script.json"
    if text is not None:
        path.write_text(text, "utf-8")

    assert main(["--script", str(path)]) == 2

    told = capsys.readouterr().err
    assert "script.json" in told
    assert any(word in told for word in said.split("|"))
