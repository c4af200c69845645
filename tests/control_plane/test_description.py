"""The OpenAPI document, and schemathesis' attempts to break what it promises, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.keys.registry import register
from tokenbeat.control_plane.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from .conftest import Lab


_CHECKS: Any = checks  # its functions are not wholly typed


class _Served:
    """A server in a thread, on a port of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        config = uvicorn.Config(app, port=0, log_level="warning", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> str:
        ready = threading.Event()
        startup = self._server.startup

        async def started(*args: Any, **kwargs: Any) -> None:
            self.loop = asyncio.get_running_loop()
            await startup(*args, **kwargs)
            ready.set()

        self._server.startup = started  # type: ignore[method-assign]  # uvicorn has no signal
        self._thread.start()
        assert ready.wait(30)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[_Served, str]]:
    folder = tmp_path_factory.mktemp("plane") / "data"
    # Reads need the key, so that forgetting to ask for it would be found.
    server = _Served(create_app(load_settings(data_dir=folder, open_reads=False)))
    url = server.start()
    yield server, url
    server.stop()


@pytest.fixture(scope="module")
def api(served: tuple[_Served, str]) -> Any:
    return schemathesis.openapi.from_url(f"{served[1]}/openapi.json")


@pytest.fixture(scope="module")
def keys(served: tuple[_Served, str]) -> dict[str, str]:
    server, _ = served
    assert server.loop is not None
    plane = server.app.state.plane
    made = asyncio.run_coroutine_threadsafe(
        register(plane, tenant="default", kind="fleet", name="all", runtime="local"), server.loop
    ).result(30)
    return {"X-Admin-Key": plane.secrets.admin_key, "Authorization": f"Bearer {made.key}"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_the_answer_is_as_the_document_says(
    api: Any, keys: dict[str, str], mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    """Data as the document wants it, and data that breaks it, at every operation."""
    labels: set[str] = set()
    for result in api.get_all_operations():
        operation: Any = result.ok()
        if operation.path.endswith("/stream"):
            continue  # it never ends: the tests of `live` read it
        told = operation.definition.raw
        if mode is GenerationMode.NEGATIVE and not (
            told.get("parameters") or "requestBody" in told
        ):
            continue  # there is nothing in it to break

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            derandomize=True,
            deadline=None,
            database=None,
            max_examples=20,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        def ask(case: Any) -> None:
            # What no schema can say (sums, NUL in a free object, lists of words) may be refused;
            # what a GET does not know (further parameters) may be ignored.
            excluded = [_CHECKS.positive_data_acceptance]
            if case.method == "GET":
                excluded.append(_CHECKS.negative_data_rejection)
            case.call_and_validate(headers=keys, excluded_checks=excluded)

        with subtests.test(operation.label):
            labels.add(operation.label)
            ask()
    assert {"POST /api/v1/heartbeat", "POST /api/v1/register"} <= labels


async def test_the_document_is_whole(lab: Lab) -> None:
    document = (await lab.client.get("/openapi.json")).json()
    text = str(document)
    schemas = document["components"]["schemas"]
    for part in text.split("'#/components/schemas/")[1:]:
        assert part.split("'")[0] in schemas
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"], (method, path)
            assert "422" not in operation["responses"] or (
                "application/problem+json" in operation["responses"]["422"]["content"]
            ), (method, path)
