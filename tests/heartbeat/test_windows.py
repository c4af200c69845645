"""AgentSpec's window: what is new since the last acknowledgement, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.heartbeat.windows import Windows
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import CACHED, INPUT, OK, OUTPUT, ZERO_COUNTS

STEPS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 1_000)) | st.booleans() | st.integers(100, 3_000),
    max_size=40,
)


def key(number: int) -> CellKey:
    return CellKey("chat", "openai", f"model-{number}", None, None, "lead_agent")


def counts(**values: int) -> tuple[int, ...]:
    named = {"ok": OK, "cached": CACHED, "input": INPUT, "output": OUTPUT}
    vector = list(ZERO_COUNTS)
    for name, value in values.items():
        vector[named[name]] = value
    return tuple(vector)


@given(steps=STEPS)
def test_acknowledged_windows_add_up_to_the_cells(
    steps: list[tuple[int, int] | bool | int],
) -> None:
    windows, levels, delivered, starts = Windows(started_ns=0), dict[int, int](), 0, set[str]()
    room_bytes = 65_536
    for now_ns, step in enumerate([*steps, 65_536, True]):
        if isinstance(step, tuple):
            levels[step[0]] = levels.get(step[0], 0) + step[1]
        elif isinstance(step, bool):
            cells = {key(n): counts(ok=1, input=level) for n, level in levels.items()}
            window = windows.open(cells, at_ns=now_ns * 1_000_000, room_bytes=room_bytes)
            assert window.usage.total_tokens == sum(m.total_tokens for m in window.usage.models)
            if step:
                windows.acknowledge(window)
                delivered += window.usage.total_tokens
                assert window.usage.window_started_at not in starts
                starts.add(str(window.usage.window_started_at))
        else:
            room_bytes = step
    assert delivered == sum(levels.values())


def test_cached_responses_are_in_no_window() -> None:
    cells = {key(1): counts(ok=3, cached=1, input=100, output=20)}
    usage = Windows(started_ns=0).open(cells, at_ns=0, room_bytes=10_000).usage
    assert (usage.total_calls, usage.total_tokens) == (2, 120)


def test_models_that_do_not_fit_wait_for_the_next_window() -> None:
    windows = Windows(started_ns=0)
    cells = {key(number): counts(ok=1, input=1) for number in range(100)}
    first = windows.open(cells, at_ns=0, room_bytes=5_000)
    assert not first.complete
    windows.acknowledge(first)
    assert windows.undelivered_tokens(cells) == 100 - first.usage.total_tokens
    second = windows.open(cells, at_ns=1, room_bytes=50_000)
    assert second.complete
    assert first.usage.total_tokens + second.usage.total_tokens == 100
