"""The one list of checks: what a developer runs and what CI runs, over uv.

``make test`` runs the sessions below in their order; ``make test SESSION=tests-server`` runs one.
Every session installs one hashed lock of ``requirements/`` and nothing that is not in it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
REPORTS = Path("build/reports")
COVERED = Path("build/coverage")
SCREENSHOTS = Path("build/screenshots")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# CI's choice is fixed; a developer's machine may have but one Python, and that one serves.
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
DEFAULT_PYTHON = "3.11" if IN_CI else HERE
CORE_PYTHONS = PYTHONS if DEFAULT_PYTHON in PYTHONS else (*PYTHONS, DEFAULT_PYTHON)
# One Python measures coverage, since each sees branches of its own.
MEASURED = (f"tests-core-{DEFAULT_PYTHON}", "tests-langchain(latest)", "tests-server", "tests-road")

nox.needs_version = ">=2026"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.sessions = [
    "lint",
    "types",
    "contracts",
    "docs",
    "tests-core",
    "tests-langchain",
    "tests-server",
    "tests-road",
    "wheel",
    "first-screen",
    "coverage",
]

# What each lock holds, as arguments of `uv export`.
LOCKS = {
    "tools": ("--only-group", "tools"),
    "build": ("--only-group", "build"),
    "lint": ("--only-group", "lint"),
    "docs": ("--only-group", "docs"),
    "runtime": ("--no-default-groups",),
    "core": ("--no-default-groups", "--group", "test"),
    "langchain": (
        *("--no-default-groups", "--group", "test", "--group", "langchain"),
        *(
            "--extra",
            "langchain",
            "--extra",
            "openai",
            "--extra",
            "anthropic",
            "--extra",
            "testing",
        ),
    ),
    "server": (
        *("--no-default-groups", "--group", "test", "--group", "server"),
        *("--extra", "server", "--extra", "testing"),
    ),
    "demo": ("--no-default-groups", "--group", "build", "--group", "langchain", "--extra", "all"),
    "user": ("--no-default-groups", "--extra", "langchain"),
    "user-distro": ("--no-default-groups", "--extra", "langchain", "--group", "distro"),
    "dev": ("--group", "dev", "--all-extras"),
}

# Folders (and single files) of tests/ by what they need to be installed.
CORE = ("test_*.py", "usage", "ledger", "attribution", "heartbeat", "telemetry")
# Of those, the ones that read what real clients answer.
CORE_WITH_CLIENTS = ("usage/test_reading.py", "usage/test_reported.py")
LANGCHAIN = ("instrument", "testing", *CORE_WITH_CLIENTS)
SERVER = ("control_plane", "cli")
ROAD = ("packaging", "docs", "agent", "laws", "faults", "road", "demo", "observability")


# What the build itself needs comes from a lock as well.
BUILD = ("--quiet", "--build-constraints", "requirements/build.txt", "--require-build-hashes")


def install(session: nox.Session, lock: str, *, project: bool = True) -> None:
    """Make the session's environment exactly one lock, with the project on top of it."""
    requirements = f"requirements/{lock}.txt"
    session.run_install("uv", "pip", "sync", "--quiet", "--require-hashes", requirements)
    if project:
        session.run_install("uv", "pip", "install", "--no-deps", *BUILD, "--editable", ".")


def file_name(session: str) -> str:
    """What the files of a session are called."""
    return re.sub(r"[^\w.-]", "-", session)


def run_tests(
    session: nox.Session,
    *patterns: str,
    without: tuple[str, ...] = (),
    concurrency: str = "thread",
) -> None:
    """Run the tests of some folders, with a report that the closing line is made from.

    ``concurrency`` is what coverage follows where this session is measured; it needs greenlet to
    be installed to follow it into the control plane's database.
    """
    found = [path for each in patterns for path in ROOT.glob(f"tests/{each}")]
    paths = sorted(str(path.relative_to(ROOT)) for path in found)
    if not paths:
        session.error(f"no tests are left of {', '.join(patterns)}")
    REPORTS.mkdir(parents=True, exist_ok=True)
    name = file_name(session.name)
    command, env = ["python", "-m", "pytest"], {"TOKENBEAT_SCREENSHOTS": str(ROOT / SCREENSHOTS)}
    if session.name in MEASURED:
        data = COVERED / name
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        env["COVERAGE_FILE"] = str(data.resolve() / "data")
        command[1:1] = ["-m", "coverage", "run", f"--concurrency={concurrency}"]
    left_out = [f"--ignore=tests/{path}" for path in without]
    report = f"--junit-xml={REPORTS / name}.xml"
    session.run(*command, *left_out, report, *(session.posargs or paths), env=env)


@nox.session(python=DEFAULT_PYTHON)
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, and the rules about files that no linter has."""
    install(session, "lint", project=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("python", ".ci/file_rules.py")


@nox.session(python=DEFAULT_PYTHON)
def types(session: nox.Session) -> None:
    """Both type checkers, strict: each finds what the other does not."""
    install(session, "dev")
    try:
        session.run("mypy")
    finally:
        # Not the .venv that pyproject.toml names for editors: it may have the tools alone.
        venv = Path(session.virtualenv.location).resolve()
        config = {"extends": "../pyproject.toml", "venvPath": str(venv.parent), "venv": venv.name}
        REPORTS.mkdir(parents=True, exist_ok=True)
        project = REPORTS.parent / "pyrightconfig.json"
        project.write_text(json.dumps(config), encoding="utf-8")
        session.run("pyright", "--project", str(project))


@nox.session(python=DEFAULT_PYTHON)
def contracts(session: nox.Session) -> None:
    """The import direction of the architecture."""
    install(session, "lint", project=False)
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session(python=DEFAULT_PYTHON)
def docs(session: nox.Session) -> None:
    """The documentation, a broken link or an unknown name failing."""
    install(session, "docs", project=False)
    session.run("mkdocs", "build", "--strict", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(name="tests-core", python=CORE_PYTHONS)
def tests_core(session: nox.Session) -> None:
    """The agent's side with the core dependencies alone, on every Python that we claim."""
    install(session, "core")
    run_tests(session, *CORE, without=CORE_WITH_CLIENTS)


@nox.session(name="tests-langchain")
@nox.parametrize(
    ("python", "lock"),
    [("3.10", "langchain-oldest"), (DEFAULT_PYTHON, "langchain"), ("3.13", "langchain")],
    ids=["oldest", "latest", "newest-python"],
)
def tests_langchain(session: nox.Session, lock: str) -> None:
    """The instrumentor with the oldest LangChain that it supports and with the newest."""
    install(session, lock)
    run_tests(session, *LANGCHAIN)


@nox.session(name="tests-server", python=DEFAULT_PYTHON)
def tests_server(session: nox.Session) -> None:
    """The control plane, its page and its OpenAPI document."""
    install(session, "server")
    run_tests(session, *SERVER, concurrency="thread,greenlet")


@nox.session(name="tests-road", python=DEFAULT_PYTHON)
def tests_road(session: nox.Session) -> None:
    """From a real agent to the page: laws, faults and the demo."""
    install(session, "dev")
    run_tests(session, *ROAD, concurrency="thread,greenlet")


def built(session: nox.Session) -> tuple[Path, ...]:
    """The wheel and the sdist, made anew."""
    made = Path(session.create_tmp()) / "dist"
    shutil.rmtree(made, ignore_errors=True)
    session.run_install("uv", "build", *BUILD, "--out-dir", str(made))
    return (*made.glob("*.whl"), *made.glob("*.tar.gz"))


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """The wheel and the sdist, each in an environment with the core dependencies alone."""
    for package in built(session):
        install(session, "runtime", project=False)
        session.run_install("uv", "pip", "install", "--no-deps", *BUILD, str(package))
        session.run("uv", "pip", "check", external=True)
        session.run("python", "-I", "tests/packaging/smoke.py")


@nox.session(name="first-screen", python=DEFAULT_PYTHON)
@nox.parametrize("lock", ["user", "user-distro"], ids=["plain", "distro"])
def first_screen(session: nox.Session, lock: str) -> None:
    """The README's first lines in a user's environment, with and without OpenTelemetry's distro."""
    wheel, _ = built(session)
    install(session, lock, project=False)
    session.run_install("uv", "pip", "install", "--no-deps", *BUILD, str(wheel))
    session.run("python", "-I", "tests/packaging/first_screen.py", lock)


@nox.session(python=DEFAULT_PYTHON, requires=MEASURED)
def coverage(session: nox.Session) -> None:
    """The branch coverage that each folder must have, of the sessions that were measured."""
    install(session, "core")
    data: list[str] = []
    for name in MEASURED:
        found = sorted(COVERED.glob(f"{file_name(name)}/data.*"))
        if not found:
            session.error(f"{name} measured nothing")
        data += map(str, found)
    report = str(REPORTS / "coverage.json")
    REPORTS.mkdir(parents=True, exist_ok=True)
    session.env["COVERAGE_FILE"] = str(COVERED.resolve() / "combined")
    session.run("coverage", "combine", "--keep", "--quiet", *data)
    session.run("coverage", "json", "--quiet", "-o", report)
    session.run("python", ".ci/coverage_gate.py", report)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Resolve the newest versions that fit and write the locks (not a check)."""
    session.run("uv", "lock", "--quiet", "--upgrade", external=True)
    plain = ("--quiet", "--no-header", "--no-annotate")
    for name, selection in LOCKS.items():
        session.run(
            *("uv", "export", *plain, "--locked", "--no-emit-project", *selection),
            *("--output-file", f"requirements/{name}.txt"),
            external=True,
            silent=True,
        )
    oldest = "requirements/langchain-oldest"
    session.run(
        *("uv", "pip", "compile", *plain, "--universal", "--python-version", "3.10", "--upgrade"),
        *("--generate-hashes", "--group", "pyproject.toml:test"),
        *("--extra", "langchain", "--extra", "testing", "pyproject.toml", f"{oldest}.in"),
        *("--output-file", f"{oldest}.txt"),
        external=True,
        silent=True,
    )
