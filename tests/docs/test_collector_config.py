"""The Collector files are whole: what a pipeline names is there, and nothing is lost in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "collector-config"
FILES = sorted(FOLDER.glob("*.yaml"))
# Exporters that send nothing over a network: they are asked, or they print.
NOT_SENDING = {"prometheus", "debug", "file"}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text(encoding="utf-8"))
    return loaded


def endpoints(parts: dict[str, Any]) -> list[str]:
    """Every address that something listens on or sends to."""
    found: list[str] = []
    for name, value in parts.items():
        if name == "endpoint":
            found.append(value)
        elif isinstance(value, dict):
            found += endpoints(cast("dict[str, Any]", value))
    return found


def test_there_is_a_minimal_file() -> None:
    assert FOLDER / "minimal.yaml" in FILES


def test_the_readme_says_where_each_file_runs() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in FILES if f"| `{file.name}` |" not in readme] == []


def test_whatever_a_pipeline_names_is_there_and_nothing_is_left_over(
    config: dict[str, Any],
) -> None:
    for kind in ("receivers", "processors", "exporters"):
        named = {
            name for each in config["service"]["pipelines"].values() for name in each.get(kind, [])
        }
        assert named == set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])


def test_the_memory_limit_comes_first_in_every_pipeline(config: dict[str, Any]) -> None:
    for pipeline in config["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


def test_everything_listens_on_loopback(config: dict[str, Any]) -> None:
    listening = endpoints(config["receivers"]) + endpoints(config["extensions"])
    listening += endpoints(config["exporters"].get("prometheus", {}))
    assert listening
    assert [each for each in listening if not each.startswith("127.0.0.1:")] == []


def test_whatever_sends_keeps_a_queue_on_disk_and_never_gives_up(config: dict[str, Any]) -> None:
    for name, exporter in config["exporters"].items():
        if name.partition("/")[0] in NOT_SENDING:
            continue
        storage = exporter["sending_queue"]["storage"]
        assert storage in config["service"]["extensions"]
        assert exporter["retry_on_failure"]["max_elapsed_time"] in {0, "0", "0s"}
