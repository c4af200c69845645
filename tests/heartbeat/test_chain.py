"""The chain of nonces."""

from __future__ import annotations

from tokenbeat.heartbeat.chain import Chain


def test_it_names_the_last_eight_and_all_since_the_last_acknowledgement() -> None:
    chain = Chain()
    for number in range(20):
        chain.acknowledge(f"a{number}", adopt=None)
    for number in range(12):
        chain.leave_open(f"o{number}")
    assert chain.earlier() == (
        *(f"a{number}" for number in range(12, 20)),
        *(f"o{number}" for number in range(12)),
    )
    chain.acknowledge("b", adopt=None)
    assert chain.earlier() == (*(f"o{number}" for number in range(5, 12)), "b")


def test_it_adopts_the_nonce_that_the_server_names() -> None:
    chain = Chain()
    chain.acknowledge("a", adopt="theirs")
    assert chain.earlier() == ("a", "theirs")
    chain.acknowledge("b", adopt="a")
    assert chain.earlier() == ("a", "theirs", "b")


def test_in_a_long_outage_the_oldest_and_the_newest_are_kept() -> None:
    chain = Chain()
    for number in range(10_000):
        chain.leave_open(f"o{number}")
    named = chain.earlier()
    assert len(named) == 400
    assert named[:200] == tuple(f"o{number}" for number in range(200))
    assert named[-1] == "o9999"
