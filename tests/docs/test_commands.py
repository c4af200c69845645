"""Every command that a page tells people to type exists, with its options and variables."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import opentelemetry.environment_variables
import opentelemetry.instrumentation.environment_variables
import opentelemetry.sdk.environment_variables
import pytest
import tomli

from tokenbeat import settings
from tokenbeat.cli.commands import tokenbeat
from tokenbeat.control_plane.settings import PREFIX, ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Programs of others that our pages name; nobody has to have them to run these tests.
OTHERS = {"curl", "grep", "otelcol-contrib", "sqlite3"}
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")


def commands(block: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Each command of a shell block with the variables before it; pipes are two commands."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s\|\s|&&", line):
            lexer = shlex.shlex(part, posix=True, punctuation_chars=False)
            lexer.whitespace_split = True
            words = list(lexer)  # comments are gone
            variables: dict[str, str] = {}
            while words and VARIABLE.match(words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if words:
                yield variables, words


@pytest.fixture(scope="module")
def typed(pages: list[Any]) -> list[tuple[str, dict[str, str], list[str]]]:
    """Page, variables and words of every command."""
    found = [
        (page.name, variables, words)
        for page in pages
        for block in page.blocks.get("sh", [])
        for variables, words in commands(block)
    ]
    assert len(found) > 30
    return found


def known_variables() -> set[str]:
    """Variables that somebody reads."""
    modules = (
        opentelemetry.environment_variables,
        opentelemetry.instrumentation.environment_variables,
        opentelemetry.sdk.environment_variables,
    )
    names = {name for module in modules for name in vars(module) if name.startswith("OTEL_")}
    names |= {value for value in vars(settings).values() if isinstance(value, str)}
    names |= {PREFIX + field.upper() for field in ServerSettings.model_fields}
    return {*names, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"}


def test_every_program_exists(typed: list[tuple[str, dict[str, str], list[str]]]) -> None:
    ours = {"tokenbeat", "make", "pip", "python", "opentelemetry-instrument"}
    strange = [
        (page, words[0])
        for page, _, words in typed
        if words[0] not in ours | OTHERS and not words[0].startswith(".venv/bin/")
    ]
    assert strange == []


def test_every_command_of_tokenbeat_and_its_options_exist(
    typed: list[tuple[str, dict[str, str], list[str]]],
) -> None:
    lines = [(page, words[1:]) for page, _, words in typed if words[0] == "tokenbeat"]
    assert len(lines) > 8
    for page, words in lines:
        command: click.Command = tokenbeat
        while isinstance(command, click.Group):
            name = words.pop(0)
            assert name in command.commands, (page, name)
            command = command.commands[name]
        options = {name for each in command.params for name in each.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used <= options, (page, used - options)


def test_every_target_and_switch_of_make_exists(
    typed: list[tuple[str, dict[str, str], list[str]]],
) -> None:
    lines = [(page, words[1:]) for page, _, words in typed if words[0] == "make"]
    assert lines
    for page, words in lines:
        for word in words:
            name, is_switch, _ = word.partition("=")
            used = rf"\$\((?:call on,)?{name}\)|,{name}\)" if is_switch else rf"(?m)^{name}:"
            assert re.search(used, MAKEFILE), (page, word)


def test_every_make_target_in_the_text_exists(pages: list[Any]) -> None:
    named = [
        (page.name, target, switch)
        for page in pages
        for target, switch in re.findall(r"`make (\w+)(?: ([A-Z]+)=)?", page.prose)
    ]
    assert len(named) > 5
    for page, target, switch in named:
        assert re.search(rf"(?m)^{target}:", MAKEFILE), (page, target)
        assert not switch or re.search(rf"\({switch}\)|,{switch}\)", MAKEFILE), (page, switch)


def test_what_pip_is_told_to_install_exists(
    typed: list[tuple[str, dict[str, str], list[str]]],
) -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    wanted = [(page, words[2]) for page, _, words in typed if words[:2] == ["pip", "install"]]
    assert wanted
    for page, package in wanted:
        name, _, named = package.rstrip("]").partition("[")
        assert name == "tokenbeat", (page, package)
        assert set(filter(None, named.split(","))) <= extras, (page, package)


def test_every_extra_is_explained() -> None:
    text = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    assert [extra for extra in extras if f"`{extra}`" not in text.partition("| Extra |")[2]] == []


def test_every_module_that_is_run_exists(
    typed: list[tuple[str, dict[str, str], list[str]]],
) -> None:
    modules = [(page, words[2]) for page, _, words in typed if words[:2] == ["python", "-m"]]
    assert modules
    for page, module in modules:
        assert importlib.util.find_spec(module) is not None, (page, module)


def test_every_variable_that_is_set_is_read_by_somebody(
    typed: list[tuple[str, dict[str, str], list[str]]],
) -> None:
    known = known_variables() | {"KEY"}
    strange = [(page, name) for page, variables, _ in typed for name in variables.keys() - known]
    assert strange == []


def test_every_variable_in_the_text_is_read_by_somebody(pages: list[Any]) -> None:
    known = known_variables()
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"\b((?:TOKENBEAT|OTEL)_[A-Z_]*[A-Z])\b(?![_*…])", page.text)
    }
    assert len(named) > 30
    assert sorted(one for one in named if one[1] not in known) == []


def test_variables_without_effect_are_told() -> None:
    """What `settings` reads and nothing uses is named on the page; more than that is a mistake."""
    package = ROOT / "src" / "tokenbeat"
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
        if "settings" not in str(path.relative_to(package))
    )
    fields = set(settings.AgentSettings.__dataclass_fields__)
    unused = {
        f"TOKENBEAT_{field.upper()}" for field in fields if not re.search(rf"\.{field}\b", source)
    }
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = re.search(r"have no effect yet: (.*?)\. ", page.replace("\n", " "))
    assert unused == (set(re.findall(r"`(\w+)`", told[1])) if told else set())
