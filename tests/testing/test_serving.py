"""The server as an object: it starts, it stops at once, and it bills what was cut."""

from __future__ import annotations

import socket
import threading

import httpx
import openai
import pytest

from tokenbeat.testing import Answer, Failure, ModelServer, Script, Usage
from tokenbeat.testing.errors import ModelServerNotRunning

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def _id_from(server: ModelServer) -> str:
    answer = httpx.post(f"{server.openai_url}/chat/completions", json=ASK)
    return str(answer.json()["id"])


def test_a_server_listens_on_the_loopback_address_and_frees_its_port() -> None:
    with ModelServer() as server:
        assert server.url.startswith("http://127.0.0.1:")
        port = int(server.url.rpartition(":")[2])
        assert _id_from(server)

    with pytest.raises(ModelServerNotRunning, match="url"):
        _ = server.url
    with ModelServer(port=port) as again:
        assert _id_from(again)
        with pytest.raises(OSError, match="in use"):
            ModelServer(port=port).start()
    assert not [one for one in threading.enumerate() if "model-server" in one.name]


def test_ids_look_like_the_providers_and_repeat_with_the_seed() -> None:
    drawn: list[str] = []
    for seed in (7, 7, 8):
        with ModelServer(Script(seed=seed)) as server:
            drawn.append(_id_from(server))

    first, same, other = drawn
    assert first == same != other
    assert first.startswith("chatcmpl-")
    assert len(first) == len("chatcmpl-") + 29


def test_stopping_cuts_streams_that_are_still_open() -> None:
    price = Usage(input_tokens=3, output_tokens=2)
    with (
        ModelServer(Script(default=Answer(usage=price, pause_after_chunks=1))) as server,
        openai.OpenAI(base_url=server.openai_url, api_key="any", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        assert server.wait_until_paused()

        server.stop()

        # Before its version 2 the client lets the transport's own error through.
        with pytest.raises((openai.APIConnectionError, httpx.TransportError)):
            list(stream)
    (entry,) = server.bill.entries
    assert (entry.ended, entry.told, entry.total_tokens) == ("cut", False, 5)


def test_stopping_cuts_answers_that_are_delayed() -> None:
    failed = threading.Event()
    with ModelServer(Script(default=Answer(delay_s=60.0))) as server:
        url = server.openai_url

        def ask() -> None:
            with pytest.raises(httpx.TransportError):
                httpx.post(f"{url}/chat/completions", json=ASK, timeout=30)
            failed.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert server.bill.wait_until(lambda bill: bool(bill.entries))

    assert failed.wait(5)
    asking.join()
    assert server.bill.entries[0].ended == "cut"


def test_a_client_that_gives_up_waiting_is_billed() -> None:
    with ModelServer(Script(default=Answer(delay_s=60.0))) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.openai_url}/chat/completions", json=ASK, timeout=0.2)

        assert server.bill.wait_until_settled()
        (entry,) = server.bill.entries
        assert (entry.ended, entry.told) == ("client_gone", False)
        assert entry.total_tokens > 0


def test_a_whole_answer_can_be_paused() -> None:
    answers: list[httpx.Response] = []
    with ModelServer(Script(default=Answer(pause_after_chunks=0))) as server:

        def ask() -> None:
            answers.append(httpx.post(f"{server.openai_url}/chat/completions", json=ASK))

        asking = threading.Thread(target=ask)
        asking.start()
        assert server.wait_until_paused()
        assert answers == []

        assert server.resume() == 1
        asking.join()

    assert answers[0].status_code == 200
    assert server.bill.entries[0].ended == "ok"


def test_a_delayed_error_does_not_hold_the_server() -> None:
    slow = Answer(delay_s=60.0, fail=Failure(status=500))
    with ModelServer(Script(queue=(Answer(delay_s=0.01, fail=Failure()), slow))) as server:
        url = f"{server.openai_url}/chat/completions"
        assert httpx.post(url, json=ASK).status_code == 500
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=ASK, timeout=0.2)

    assert server.bill.entries == ()
    assert [refused.status for refused in server.bill.refused] == [500, 500]


def test_a_delay_between_pieces_is_kept() -> None:
    with ModelServer(Script(default=Answer(chunks=3, chunk_delay_s=0.02))) as server:
        answer = httpx.post(f"{server.openai_url}/chat/completions", json={**ASK, "stream": True})

        assert answer.elapsed.total_seconds() >= 0.06
        assert answer.text.endswith("data: [DONE]\n\n")


def test_what_no_provider_would_take_is_refused_and_leaves_the_server_well() -> None:
    with ModelServer() as server:
        url = f"{server.openai_url}/chat/completions"
        for body in (b"", b"{", b"[]", b"{}", b'{"model": "m", "messages": [], "n": -1}'):
            assert httpx.post(url, content=body).status_code == 400
        for wrong in ({"n": 0}, {"n": True}, {"stream": "yes"}, {"model": ""}, {"model": 3}):
            refused = httpx.post(url, json={**ASK, **wrong})
            assert refused.status_code == 400
            assert next(iter(wrong)) in refused.json()["error"]["message"]

        assert _id_from(server)
        assert len(server.bill.entries) == 1
        assert len(server.bill.refused) == 10


def test_a_forwarded_address_does_not_save_a_connection_from_being_cut() -> None:
    with (
        ModelServer(Script(default=Answer(cut_after_chunks=0))) as server,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.post(
            f"{server.openai_url}/chat/completions",
            json=ASK,
            headers={"x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https"},
        )

    assert server.bill.entries[0].ended == "cut"


def test_environment_variables_lead_clients_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        with openai.OpenAI() as client:
            answer = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}]
            )

        assert server.bill.entries[0].response_id == answer.id


def test_a_second_start_changes_nothing() -> None:
    with ModelServer() as server:
        url = server.url
        server.start()
        assert server.url == url
    server.stop()


def test_a_connection_that_says_nothing_does_not_hold_the_server() -> None:
    with ModelServer() as server:
        port = int(server.url.rpartition(":")[2])
        silent = socket.create_connection(("127.0.0.1", port))
        assert _id_from(server)
    silent.close()
