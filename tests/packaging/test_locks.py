"""The locks hold what the project declares, by hash, and name no address."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(lock: Path, *, python: str) -> dict[str, str]:
    """Package to version, as an installer on Linux with that Python would take them."""
    environment = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
    }
    found: dict[str, str] = {}
    for line in re.findall(r"^[^\s#].*?(?= \\$)", lock.read_text(), re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is locked twice for {python}"
        [specifier] = requirement.specifier
        assert specifier.operator == "=="
        found[name] = specifier.version
    return found


def group(project: dict[str, Any], name: str) -> Iterator[str]:
    """The requirements of a dependency group and of those that it includes."""
    for each in project["dependency-groups"][name]:
        if isinstance(each, str):
            yield each
        else:
            yield from group(project, each["include-group"])


def extra(project: dict[str, Any], name: str) -> Iterator[str]:
    """The requirements of an extra and of those of ours that it names."""
    for each in project["project"]["optional-dependencies"][name]:
        requirement = Requirement(each)
        if requirement.name == project["project"]["name"]:
            for included in sorted(requirement.extras):
                yield from extra(project, included)
        else:
            yield each


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "groups", "extras"),
    [
        ("runtime", (), ()),
        ("core", ("test",), ()),
        ("server", ("test", "server"), ("server", "testing")),
        ("langchain", ("test", "langchain"), ("langchain", "openai", "anthropic", "testing")),
        ("langchain-oldest", ("test",), ("langchain", "testing")),
        ("demo", ("build", "langchain"), ("all",)),
        ("dev", ("dev",), ("all",)),
    ],
)
def test_a_lock_has_what_is_declared_for_every_python_that_we_claim(
    project: dict[str, Any],
    lock: str,
    groups: tuple[str, ...],
    extras: tuple[str, ...],
    python: str,
) -> None:
    versions = pinned(ROOT / "requirements" / f"{lock}.txt", python=python)
    declared = list(project["project"]["dependencies"])
    for name in groups:
        declared += group(project, name)
    for name in extras:
        declared += extra(project, name)
    for each in declared:
        requirement = Requirement(each)
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{lock} has no {requirement.name}; run make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{each} but {version}"


def test_the_oldest_lock_really_has_the_oldest_langchain() -> None:
    versions = pinned(ROOT / "requirements" / "langchain-oldest.txt", python="3.10")
    assert versions["langchain-core"] == "0.3.73"
    assert versions["langgraph"].startswith("0.")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_a_hash_and_nothing_has_an_address(lock: Path) -> None:
    text = lock.read_text()
    assert "//" not in text
    assert not re.search(r"^\s*-(?!-hash=sha256:)", text, re.MULTILINE)
    pins = re.findall(r"^\S+==.*$", text, re.MULTILINE)
    assert pins
    assert all(
        re.search(re.escape(pin) + r"\n    --hash=sha256:[0-9a-f]{64}", text) for pin in pins
    )


def test_the_package_claims_the_pythons_that_the_checks_run_on(project: dict[str, Any]) -> None:
    named = "Programming Language :: Python :: 3."
    claimed = {
        each.rpartition(" ")[2] for each in project["project"]["classifiers"] if named in each
    }
    [run] = re.findall(r"^PYTHONS = \((.*)\)$", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    assert claimed == set(PYTHONS) == set(re.findall(r"[\d.]+", run))
