"""What an installed package must do with its core dependencies and nothing else.

Run by the interpreter of an empty environment, beside the source tree but not from it:
``python -I tests/packaging/smoke.py``. It is a program and no pytest file because pytest is one of
the packages that must be absent.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

OPTIONAL = (
    *("langchain", "langchain_core", "langgraph", "openai", "anthropic", "prometheus_client"),
    *("starlette", "uvicorn", "fastapi", "sqlalchemy", "alembic", "pydantic", "pydantic_settings"),
    *("jinja2", "jwt", "pytest", "hypothesis", "httpx"),
)

# Each door to something optional, and the extra that it must name.
DOORS = (
    ("serve", ("tokenbeat", "serve"), "server"),
    (
        "model server",
        (sys.executable, "-I", "-c", "from tokenbeat.testing import ModelServer; ModelServer()"),
        "testing",
    ),
)

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tokenbeat"
LLM_CALL = """
from tokenbeat.ledger.process import books
from tokenbeat.usage import counts
from tokenbeat.usage.caller import UNATTRIBUTED
from tokenbeat.usage.tokens import TokenUsage

ledger = books()
report = ledger.start(
    source="smoke", operation="chat", provider="openai", request_model="m",
    caller=UNATTRIBUTED, agent=None, run=None,
)
ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=100, output_tokens=20))
[cell] = ledger.snapshot().cells
print(cell.counts[counts.INPUT], cell.counts[counts.OUTPUT])
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment, from a folder that is not the source tree."""
    here = Path(sys.executable).parent
    environment = {
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "HOME": tempfile.gettempdir(),
        "XDG_STATE_HOME": tempfile.mkdtemp(prefix="smoke-"),
        "PYTHONWARNINGS": "error",
    }
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        cwd=tempfile.gettempdir(),
    )


def check_that_optional_packages_are_absent() -> None:
    present = [name for name in OPTIONAL if importlib.util.find_spec(name)]
    assert not present, f"this environment is not empty: {present}"


def check_that_every_file_of_the_source_was_packed() -> None:
    spec = importlib.util.find_spec("tokenbeat")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    assert not installed.is_relative_to(SOURCE.parent), "the source tree was imported"
    sources = [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    lacking = [
        str(path.relative_to(SOURCE))
        for path in sources
        if not (installed / path.relative_to(SOURCE)).is_file()
    ]
    assert not lacking, f"not in the package: {lacking}"
    assert (installed / "py.typed").is_file()


def check_that_every_entry_point_loads() -> None:
    for point in importlib.metadata.distribution("tokenbeat").entry_points:
        if point.group != "pytest11":
            assert point.load() is not None, point


def check_that_a_call_is_counted() -> None:
    told = run(sys.executable, "-I", "-c", LLM_CALL)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == ["100", "20"], told.stdout


def check_that_the_command_line_works() -> None:
    told = run("tokenbeat", "--version")
    assert told.returncode == 0, told.stderr
    assert importlib.metadata.version("tokenbeat") in told.stdout, told.stdout
    told = run("tokenbeat", "usage", "--json")
    assert told.returncode == 0, told.stderr
    json.loads(told.stdout)


def check_that_each_optional_door_names_its_extra() -> None:
    for door, command, extra in DOORS:
        told = run(*command)
        assert told.returncode != 0, f"{door} worked without its packages: {told.stdout}"
        assert f"tokenbeat[{extra}]" in told.stderr, f"{door}: {told.stderr}"
        if command[0] == "tokenbeat":
            assert "Traceback" not in told.stderr, f"{door}: {told.stderr}"


def check_that_an_uninstrumented_program_runs_under_opentelemetry_instrument() -> None:
    told = run(
        *("opentelemetry-instrument", "--metrics_exporter", "tokenbeat"),
        *("--traces_exporter", "none", "--logs_exporter", "none"),
        *(sys.executable, "-c", "print('ran')"),
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == "ran"
    assert "Traceback" not in told.stderr, told.stderr


CHECKS = (
    check_that_optional_packages_are_absent,
    check_that_every_file_of_the_source_was_packed,
    check_that_every_entry_point_loads,
    check_that_a_call_is_counted,
    check_that_the_command_line_works,
    check_that_each_optional_door_names_its_extra,
    check_that_an_uninstrumented_program_runs_under_opentelemetry_instrument,
)


def main() -> int:
    """Run every check, also after one failed, and say which did."""
    failed = 0
    for check in CHECKS:
        name = check.__name__.removeprefix("check_that_").replace("_", " ")
        try:
            check()
        except Exception as error:  # noqa: BLE001 a report of all checks, whatever broke one
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}")
        else:
            print(f"ok     {name}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
