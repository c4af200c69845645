"""A command ends with a code, and what went wrong is one line on standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("tokenbeat")


def test_the_version_is_the_packages(tokenbeat: Callable[..., Any]) -> None:
    for asked in ("version", "--version"):
        done = tokenbeat(asked)
        assert (done.code, done.out, done.err) == (0, f"tokenbeat {version('tokenbeat')}\n", "")


def test_help_fits_80_columns(tokenbeat: Callable[..., Any]) -> None:
    for command in ((), ("serve",), ("register",), ("usage",), ("journal",), ("journal", "show")):
        done = tokenbeat(*command, "--help")
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["usage", "--bay", "model"], "'--bay'"),
        (["usage", "--by", "weather"], "--by: 'weather' is none of service, agent, model"),
        (["usage", "--by", "model,model"], "--by: model stands twice"),
        (["usage", "--by", "run"], "--by: run needs a control plane"),
        (["usage", "--from", "2026-04-01T12:00:00Z"], "--from: needs a control plane"),
        (["usage", "--to", "2026-04-01T12:00:00Z"], "--to: needs a control plane"),
        (["usage", "--url", "tokens.example.com"], "--url: 'tokens.example.com' is no http"),
        (["usage", "--url", "http://host:port"], "--url: 'http://host:port' is no address"),
        (["usage", "--url", "http://me:pw@host"], "--url: an address has no user, password"),
        (["serve", "--port", "many"], "'--port'"),
        (["serve", "--port", "70000"], "TOKENBEAT_PORT: "),
        (["register"], "'NAME'"),
        (["register", "x", "--runtime", "moon"], "'--runtime'"),
        (["journal", "show", "/nowhere"], "/nowhere"),
        (["dance"], "'dance'"),
    ],
)
def test_what_was_asked_for_wrongly_is_named_in_one_line(
    tokenbeat: Callable[..., Any], arguments: list[str], named: str
) -> None:
    done = tokenbeat(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("tokenbeat: ")
    assert named in done.err
    assert done.err.count("\n") == 1


def test_a_variable_is_named_like_its_option(
    tokenbeat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENBEAT_CONTROL_PLANE_URL", "ftp://host")
    assert tokenbeat("usage").err == "tokenbeat: --url: 'ftp://host' is no http or https address\n"


def test_without_the_servers_packages_everything_else_works() -> None:
    code = (
        "import sys\n"
        "for name in ('fastapi', 'starlette', 'sqlalchemy', 'alembic', 'pydantic', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "from tokenbeat.cli import main\n"
        "main(sys.argv[1:])\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("version").returncode == 0
    used = run("usage", "--json")
    assert (used.returncode, used.stderr) == (0, "")
    served = run("serve")
    assert served.returncode == 1
    assert served.stderr == (
        "tokenbeat: tokenbeat serve needs more packages: pip install 'tokenbeat[server]'\n"
    )


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, "usage", "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""


def test_ctrl_c_ends_a_command_without_a_word(
    tokenbeat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # Stands for Ctrl-C at a moment that a test cannot hit from outside.
    monkeypatch.setattr("tokenbeat.cli.usage.from_journals", interrupted)
    done = tokenbeat("usage")
    assert (done.code, done.out, done.err) == (130, "", "\n")


def test_importing_the_command_line_imports_no_command() -> None:
    code = "import sys, tokenbeat.cli; print('click' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
