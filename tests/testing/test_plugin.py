"""The plugin: fixtures for those who ask for them, nothing for everyone else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tokenbeat.testing import ModelServer

HEAVY = (
    *("starlette", "uvicorn", "h11", "langchain", "langchain_core", "openai", "anthropic"),
    *("opentelemetry.sdk", "fastapi", "sqlalchemy", "pydantic", "httpx"),
)

UNTOUCHED_SUITE = f"""
import sys
import threading

def test_nothing_of_ours_is_here():
    assert "tokenbeat.testing.plugin" in sys.modules
    assert [name for name in {HEAVY!r} if name in sys.modules] == []
    ours = sorted(name for name in sys.modules if name.startswith("tokenbeat"))
    modules = ["tokenbeat", "tokenbeat.errors", "tokenbeat.testing", "tokenbeat.testing.plugin"]
    assert ours == modules
    assert threading.active_count() == 1
"""

ASKING_SUITE = """
import json
import urllib.request

def ask(url):
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        url + "/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["usage"]["total_tokens"]

def test_first(model_server):
    assert ask(model_server.openai_url) == model_server.bill.total_tokens

def test_second_has_a_fresh_bill(model_server):
    assert model_server.bill.entries == ()
"""


def _run(folder: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(suite, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_quiet(), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _quiet() -> tuple[str, ...]:
    """Other installed plugins load what they like; only ours is under test."""
    names = ("hypothesispytest", "anyio", "langsmith_plugin", "schemathesis", "asyncio")
    return tuple(option for name in names for option in ("-p", f"no:{name}"))


def test_a_suite_that_asks_for_nothing_is_left_alone(tmp_path: Path) -> None:
    ran = _run(tmp_path, UNTOUCHED_SUITE)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_suite_that_asks_for_a_server_gets_a_fresh_one_for_each_test(tmp_path: Path) -> None:
    ran = _run(tmp_path, ASKING_SUITE)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_strict_is_an_option_that_is_off(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    assert pytestconfig.getini("tokenbeat_strict") in {True, False}

    suite = "from tokenbeat import guard\ndef test_it(): assert guard.is_strict() is {}\n"
    assert _run(tmp_path, suite.format(False)).returncode == 0
    assert _run(tmp_path, suite.format(True), "-o", "tokenbeat_strict=true").returncode == 0


def test_this_suite_gets_the_same_fixture(model_server: ModelServer) -> None:
    assert model_server.bill.total_tokens == 0
