"""One POST on real sockets: what a network can do, and what must never be said."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.urllib3 import (  # pyright: ignore[reportMissingTypeStubs] it has none
    URLLib3Instrumentor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tokenbeat.heartbeat.errors import NoAnswer, PlaintextRefused, UrlRefused
from tokenbeat.heartbeat.transport import HttpTransport, heartbeat_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-s3cret/+ä key%"
ASCII_KEY = "sk-s3cret/+key%26"


@pytest.fixture
def transport(server: Any) -> Iterator[HttpTransport]:
    made = HttpTransport(heartbeat_url(server.url, allow_plaintext=False))
    yield made
    made.close()


def post(transport: HttpTransport, *, key: str | None = ASCII_KEY, timeout_s: float = 5.0) -> Any:
    return transport.post(b"{}", headers={"X-Test": "1"}, key=key, timeout_s=timeout_s)


def test_a_reply_comes_back_whole(server: Any, transport: HttpTransport) -> None:
    server.answer_always(429, {"detail": "later"}, Retry_After="7")
    reply = post(transport)
    assert (reply.status, reply.retry_after, reply.body) == (429, "7", b'{"detail": "later"}')
    request = server.requests[0]
    assert request.path == "/api/v1/heartbeat"
    assert request.headers["Authorization"] == f"Bearer {ASCII_KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Test"] == "1"


def test_without_a_key_there_is_no_header(server: Any, transport: HttpTransport) -> None:
    server.answer_always(401)
    post(transport, key=None)
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server: Any, transport: HttpTransport, status: int) -> None:
    server.answer_always(status, Location=f"{server.url}/elsewhere")
    assert post(transport).status == status
    assert [request.path for request in server.requests] == ["/api/v1/heartbeat"]


def test_a_reset_after_reading_is_tried_once_and_said_as_such(
    server: Any, transport: HttpTransport
) -> None:
    server.otherwise = server.reset
    with pytest.raises(NoAnswer) as caught:
        post(transport)
    assert caught.value.kind == "reset"
    server.wait_for(1)
    assert len(server.requests) == 1


def test_a_port_where_nobody_listens_was_not_reached(server: Any) -> None:
    server.close()
    with pytest.raises(NoAnswer) as caught:
        post(HttpTransport(f"{server.url}/api/v1/heartbeat"))
    assert caught.value.kind == "connect"


def test_a_server_that_speaks_no_tls_is_said_as_such(server: Any) -> None:
    url = server.url.replace("http:", "https:")
    transport = HttpTransport(heartbeat_url(url, allow_plaintext=False))
    with pytest.raises(NoAnswer) as caught:
        post(transport)
    assert caught.value.kind == "tls"
    transport.close()


def test_a_slow_server_is_left_in_time(server: Any, transport: HttpTransport) -> None:
    done = threading.Event()
    server.wait_before_answering(done)
    started_s = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        post(transport, timeout_s=0.3)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started_s < 3
    done.set()


def test_a_server_that_trickles_is_left_in_time(server: Any, transport: HttpTransport) -> None:
    server.trickle()
    started_s = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        post(transport, timeout_s=0.5)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started_s < 3


def test_an_endless_answer_is_cut(server: Any, transport: HttpTransport) -> None:
    server.answer_always(200, b"x" * 5_000_000, Content_Type="text/html")
    assert len(post(transport).body) == 65_536


def test_the_connection_is_kept(server: Any, transport: HttpTransport) -> None:
    server.answer_always(200, {"revision": 1})
    for _ in range(3):
        post(transport)
    assert len(server.ports) == 1


@pytest.mark.parametrize("how", ["reset", "refused", "bad key"])
def test_the_key_is_in_no_error_log_or_traceback(
    server: Any, transport: HttpTransport, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    key = "line\nbreak" if how == "bad key" else ASCII_KEY
    server.otherwise = server.reset
    if how == "refused":
        server.close()
    with caplog.at_level(logging.DEBUG), pytest.raises(NoAnswer) as caught:
        post(transport, key=key)
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    said += repr(vars(caught.value)) + repr(transport) + repr(vars(transport))
    for secret in (key, repr(key)[1:-1], "s3cret", "sk-s3cret%2F%2Bkey%2526"):
        assert secret not in said
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_request_is_no_span_and_no_metric(server: Any, transport: HttpTransport) -> None:
    server.answer_always(200, {"revision": 1})
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader], shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    instrumentor = URLLib3Instrumentor()
    instrumentor.instrument(tracer_provider=tracers, meter_provider=meters)
    try:
        post(transport)
    finally:
        instrumentor.uninstrument()
    assert spans.get_finished_spans() == ()
    assert reader.get_metrics_data() is None
    assert "traceparent" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://tokens.example.com", "https://tokens.example.com/api/v1/heartbeat"),
        (
            "https://tokens.example.com:8443/x/",
            "https://tokens.example.com:8443/x/api/v1/heartbeat",
        ),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v1/heartbeat"),
        ("http://localhost:8000/", "http://localhost:8000/api/v1/heartbeat"),
        ("http://[::1]:8000", "http://[::1]:8000/api/v1/heartbeat"),
    ],
)
def test_heartbeats_go_to_one_path(url: str, whole: str) -> None:
    assert heartbeat_url(url, allow_plaintext=False) == whole


@pytest.mark.parametrize(
    "url",
    ["http://tokens.example.com", "http://10.0.0.1:8000", "http://127.0.0.1.example.com",
     "http://localhost.example.com"],
)  # fmt: skip
def test_plain_http_to_another_machine_must_be_allowed(url: str) -> None:
    with pytest.raises(PlaintextRefused):
        heartbeat_url(url, allow_plaintext=False)
    assert heartbeat_url(url, allow_plaintext=True).startswith(url)


@pytest.mark.parametrize(
    "url", ["", "tokens.example.com", "ftp://x", "https://", "https://u:p@x", "http://x:y", "//x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        heartbeat_url(url, allow_plaintext=True)
