"""The size of messages."""

from __future__ import annotations

from tokenbeat.heartbeat.limits import MESSAGE_BYTES
from tokenbeat.heartbeat.sizes import SizeLimit


def test_it_halves_down_to_a_floor_and_grows_back() -> None:
    size = SizeLimit()
    assert size.shrink(60_000)
    assert size.message_bytes == 30_000
    while size.shrink(size.message_bytes):
        pass
    assert size.message_bytes == 2_048
    assert not size.shrink(1_000)
    for _ in range(19):
        size.accepted()
    assert size.message_bytes == 2_048
    for _ in range(200):
        size.accepted()
    assert size.message_bytes == MESSAGE_BYTES
