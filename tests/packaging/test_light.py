"""An agent's process stays light: what it imports, and that importing does nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SERVER = {
    *("fastapi", "starlette", "uvicorn", "sqlalchemy", "aiosqlite", "alembic", "pydantic_settings"),
    *("jinja2", "jwt", "kubernetes", "pytest", "hypothesis"),
}
# What is imported in other processes than an agent's, or by those who ask for it.
NOT_THE_AGENT = ("control_plane", "cli", "testing", "sidecar", "asgi", "demo")

IMPORT_ALL = """
import importlib, json, pkgutil, sys, threading
import tokenbeat

without = sys.argv[1].split(",")
for module in pkgutil.walk_packages(tokenbeat.__path__, "tokenbeat."):
    if not any(module.name.startswith(f"tokenbeat.{name}") for name in without):
        importlib.import_module(module.name)
print(json.dumps({
    "imported": sorted({name.partition(".")[0] for name in sys.modules}),
    "ours": sorted(name for name in sys.modules if name.startswith("tokenbeat.")),
    "threads": threading.active_count(),
}))
"""


def import_all(*without: str) -> dict[str, list[str] | int]:
    """What a fresh interpreter has after importing every module but some."""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, ",".join(without)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found: dict[str, list[str] | int] = json.loads(told.stdout)
    return found


def names(found: dict[str, list[str] | int], part: str) -> set[str]:
    listed = found[part]
    assert isinstance(listed, list)
    return set(listed)


def test_the_agents_side_imports_no_server_package() -> None:
    pytest.importorskip("fastapi", reason="version: needs the server's packages to tell")
    found = import_all(*NOT_THE_AGENT)
    assert "tokenbeat.ledger.books" in names(found, "ours")
    assert names(found, "imported") & SERVER == set()


def test_without_a_frameworks_instrumentor_not_even_pydantic_is_imported() -> None:
    found = import_all(*NOT_THE_AGENT, "instrument")
    heavy = {"pydantic", "langchain_core", "langchain", "langgraph", "openai", "anthropic"}
    assert names(found, "imported") & heavy == set()


def test_importing_starts_no_thread() -> None:
    assert import_all(*NOT_THE_AGENT)["threads"] == 1
