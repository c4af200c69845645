"""What the control plane tells is what the journals tell."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tokenbeat.heartbeat.message import (
    Beat,
    Cell,
    CutCells,
    Gap,
    Health,
    Heartbeat,
    Service,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEAD = "lead_agent"
RESEARCHER = "lead_agent/subagent:researcher"


def send(url: str, key: str, agent: Any, *, service: str) -> None:
    """Tells a control plane all that an agent's ledger holds."""
    books = agent.ledger.snapshot()
    cells = tuple(Cell(cell.key, cell.counts) for cell in books.cells)
    beat = Beat(
        incarnation=books.incarnation,
        service=Service(name=service, started_ns=books.started_ns),
        sent_ns=agent.clock.wall_ns(),
        interval_ms=30_000,
        revision=books.revision,
        base=0,
        nonce="n" * 16,
        cuts=(CutCells(at_ns=books.at_ns, cells=cells),),
        open_calls=books.open,
    )
    message = Heartbeat(health=Health({"status": "ready"}), gap=Gap({}), beat=beat)
    answer = httpx.post(
        f"{url}/api/v1/heartbeat",
        content=encode(message),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text


@dataclass(frozen=True, slots=True)
class Known:
    """The same calls, known to a control plane and to a folder of journals."""

    url: str
    spool: Path


@pytest.fixture(scope="module")
def known(
    start_plane: Callable[..., Any],
    start_agent: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Known]:
    state = tmp_path_factory.mktemp("known")
    url: str = start_plane("--data-dir", state / "plane").url
    admin = {"X-Admin-Key": (state / "plane" / "admin.key").read_text().strip()}
    agents = [
        start_agent(state / "spool", service=service, incarnation=letter * 16)
        for service, letter in (("research", "a"), ("writing", "b"))
    ]
    for agent, service in zip(agents, ("research", "writing"), strict=True):
        agent.call(model="gpt-4o-2024-08-06", caller=LEAD, input_tokens=100, output_tokens=20)
        agent.call(model="claude", caller=RESEARCHER, input_tokens=7, cache_read_tokens=3)
        agent.call(model="gpt-4o", caller=LEAD)
        asked = {"agentName": service, "runtime": "local"}
        made = httpx.post(f"{url}/api/v1/register", json=asked, headers=admin)
        send(url, made.json()["apiKey"], agent, service=service)
    yield Known(url, state / "spool")
    for agent in agents:
        agent.die()


COMMON = ("by", "from", "to", "totals", "unattributed", "rowCount", "rows", "rest")


@pytest.mark.parametrize(
    "question",
    [
        (),
        ("--by", "service,model,caller"),
        ("--by", "callerType,requestModel,responseModel,provider,operation"),
        ("--by", "incarnation,agent"),
        ("--service", "research"),
        ("--service", "Research", "--by", "model"),
    ],
)
def test_server_and_journals_give_the_same_answer(
    tokenbeat: Callable[..., Any], known: Known, question: tuple[str, ...]
) -> None:
    asked = tokenbeat("usage", "--url", known.url, "--json", *question).json
    read = tokenbeat("usage", "--spool-dir", known.spool, "--json", *question).json
    assert {name: asked[name] for name in COMMON} == {name: read[name] for name in COMMON}
    assert asked["totals"]["tokens"]["total"] in {254, 127}
    assert asked.get("service") == read.get("service")


def test_the_table_of_a_server_is_the_table_of_the_journals(
    tokenbeat: Callable[..., Any], known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENBEAT_CONTROL_PLANE_URL", known.url)
    asked = tokenbeat("usage").out.splitlines()
    read = tokenbeat("usage", "--journals", "--spool-dir", known.spool).out.splitlines()
    table = [line for line in read if not line.startswith(("seen", "processes"))]
    assert asked[: len(table)] == table
    assert any("gpt-4o" in line and "240" in line for line in table)


def test_rows_that_are_not_listed_are_told_as_one(
    tokenbeat: Callable[..., Any], known: Known, strange: Callable[..., str]
) -> None:
    report = tokenbeat("usage", "--url", known.url, "--json", "--by", "model").json
    *rows, last = report["rows"]
    report |= {"rows": rows, "rest": {name: last[name] for name in report["rest"]}}
    url = strange(200, "application/json", json.dumps(report).encode())
    lines = tokenbeat("usage", "--url", url).out.splitlines()
    assert [line.split() for line in lines if "more" in line] == [
        ["(1", "more)", "2", "14", "0", "14"]
    ]
    assert any(line.split() == ["total", "6", "214", "40", "254"] for line in lines)


def test_times_are_the_servers(tokenbeat: Callable[..., Any], known: Known) -> None:
    before = tokenbeat("usage", "--url", known.url, "--to", "2020-01-01T00:00:00Z", "--json").json
    assert before["totals"]["tokens"]["total"] == 0
    assert before["to"] == "2020-01-01T00:00:00.000Z"
    after = tokenbeat(
        "usage", "--url", known.url, "--from", "2020-01-01T00:00:00+00:00", "--json"
    ).json
    assert after["totals"]["tokens"]["total"] == 254
    none = tokenbeat("usage", "--url", known.url, "--to", "2020-01-01T00:00:00Z")
    assert none.out.startswith("No calls yet.\n")


@pytest.mark.parametrize(
    ("question", "code", "named"),
    [
        (("--by", "weather"), 2, "--by: 'weather' is none of "),
        (("--from", "yesterday"), 2, "--from: is no time with an offset"),
        (("--from", "2026-04-02T00:00:00Z", "--to", "2026-04-01T00:00:00Z"), 2, "--to: is before"),
        (("--service", "nobody"), 1, "the control plane refuses (404): no agent 'nobody' is known"),
    ],
)
def test_what_the_server_refuses_is_named_by_its_option(
    tokenbeat: Callable[..., Any], known: Known, question: tuple[str, ...], code: int, named: str
) -> None:
    done = tokenbeat("usage", "--url", known.url, *question)
    assert done.code == code
    assert done.err.startswith(f"tokenbeat: {named}")
    assert done.err.count("\n") == 1


def test_reading_needs_a_key_where_the_server_says_so(
    tokenbeat: Callable[..., Any],
    plane: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENBEAT_OPEN_READS", "false")
    url = plane().url
    assert tokenbeat("usage", "--url", url).code == 0  # with the key of this machine
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    done = tokenbeat("usage", "--url", url)
    assert done.code == 1
    assert done.err == (
        "tokenbeat: the control plane refuses (403): "
        "the header X-Admin-Key must carry the admin key\n"
    )
    key_file = tmp_path / "state" / "tokenbeat" / "control-plane" / "admin.key"
    assert tokenbeat("usage", "--url", url, "--admin-key-file", key_file).code == 0


class Strange(BaseHTTPRequestHandler):
    """Answers what it is told to, whatever is asked."""

    answer: tuple[int, str, bytes]

    def do_GET(self) -> None:
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        del format, args


@pytest.fixture
def strange() -> Iterator[Callable[..., str]]:
    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def answering(status: int, kind: str, body: bytes) -> str:
        Strange.answer = (status, kind, body)
        return f"http://127.0.0.1:{server.server_port}"

    yield answering
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, "text/html", b"<html>"), "answered 200 with text/html; is that a Tokenbeat"),
        ((302, "text/html", b""), "answered 302 with text/html; is that a Tokenbeat"),
        ((200, "application/json", b"[1]"), "answered 200 with application/json; is that"),
        ((200, "application/json", b"{}"), "answered no report; is that Tokenbeat?"),
        ((500, "application/json", b"{}"), "refuses (500): without a reason"),
        ((404, "application/json", b'{"detail": "Not Found"}'), "refuses (404): Not Found"),
    ],
)
def test_what_is_no_control_plane_is_told_in_one_line(
    tokenbeat: Callable[..., Any],
    strange: Callable[..., str],
    answer: tuple[int, str, bytes],
    told: str,
) -> None:
    done = tokenbeat("usage", "--url", strange(*answer))
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1
