"""The stream over a real socket."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tokenbeat.control_plane.live.feed import Feed, Pace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

QUICK = Pace(frame_s=0.02, look_s=0.05, comment_s=0.0)


@contextmanager
def watching(served: Any, **headers: str) -> Generator[Iterator[str]]:
    """The blocks of a stream, as text."""

    def blocks(answer: httpx.Response) -> Iterator[str]:
        lines: list[str] = []
        for line in answer.iter_lines():
            if line:
                lines.append(line)
            else:
                yield "\n".join(lines)
                lines = []

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.stream(
        "GET", f"{served.address}/api/v1/usage/stream", headers=named, timeout=20
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield blocks(answer)


def usage(block: str) -> tuple[int, Any]:
    """Revision and report of an event."""
    number, event, data = block.split("\n")
    assert event == "event: usage"
    return int(number.removeprefix("id: ")), json.loads(data.removeprefix("data: "))


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stream_begins_with_the_present_state_and_tells_each_change(
    served: Any, beat: Any, cell: Any
) -> None:
    served.send(beat((10, [cell("lead_agent", 100)]), sent=10))
    with watching(served) as blocks:
        assert next(blocks) == "retry: 1000"
        first, report = usage(next(blocks))
        assert report == served.json("usage?by=service")
        assert report["totals"]["tokens"]["total"] == 100
        served.send(beat((20, [cell("lead_agent", 142)]), sent=20, revision=2, base=1))
        second, report = usage(next(blocks))
    assert second > first
    assert report["revision"] == second
    assert report["totals"]["tokens"]["total"] == 142


def test_who_has_the_present_state_is_told_only_what_is_new(
    served: Any, beat: Any, cell: Any
) -> None:
    served.send(beat((10, [cell("lead_agent", 100)]), sent=10))
    revision = served.json("usage")["revision"]
    with watching(served, Last_Event_ID=str(revision)) as blocks:
        assert next(blocks) == "retry: 1000"
        served.send(beat((20, [cell("lead_agent", 142)]), sent=20, revision=2, base=1))
        _, report = usage(next(blocks))
    assert report["totals"]["tokens"]["total"] == 142


def test_an_id_that_is_not_ours_gets_the_present_state(served: Any) -> None:
    for strange in ("x", "-1", "99999999999999999999", "1.5"):
        with watching(served, Last_Event_ID=strange) as blocks:
            assert next(blocks) == "retry: 1000"
            assert usage(next(blocks))[1]["totals"]["tokens"]["total"] == 0


def test_many_changes_become_few_events_and_the_last_state_always_comes(
    served: Any, beat: Any, cell: Any
) -> None:
    with watching(served) as blocks:
        next(blocks)
        usage(next(blocks))
        began = time.monotonic()
        for number in range(1, 31):
            served.send(beat((number, [cell("lead_agent", number)]), sent=number, revision=number))
        seen = 0
        report: Any = None
        while report is None or report["totals"]["tokens"]["total"] < 30:
            _, report = usage(next(blocks))
            seen += 1
        took_s = time.monotonic() - began
    # At most four a second, one at once, and one that ends a started quarter.
    assert seen <= took_s * 4 + 2


def test_a_quiet_stream_carries_comments(served: Any) -> None:
    served.app.state.feed = Feed(served.app.state.plane, pace=QUICK)
    with watching(served) as blocks:
        next(blocks)
        usage(next(blocks))
        assert next(blocks).startswith(":")


def test_places_are_bounded_and_given_back(served: Any) -> None:
    feed = Feed(served.app.state.plane, pace=QUICK, most_streams=2)
    served.app.state.feed = feed
    with watching(served) as one, watching(served) as two:
        next(one)
        next(two)
        refused = httpx.get(f"{served.address}/api/v1/usage/stream")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "5"
    wait_until(lambda: feed.streams == 0)
    with watching(served) as again:
        next(again)


def test_what_another_process_commits_to_the_database_is_told_too(
    serving: Any, beat: Any, cell: Any
) -> None:
    with serving() as here, serving() as there:
        here.app.state.feed = Feed(here.app.state.plane, pace=QUICK)
        with watching(here) as blocks:
            next(blocks)
            usage(next(blocks))
            there.send(beat((10, [cell("lead_agent", 7)]), sent=10))
            reports = (usage(block)[1] for block in blocks if not block.startswith(":"))
            # The first change is that the service was registered.
            told = next(report for report in reports if report["totals"]["calls"]["ok"])
            assert told["totals"]["tokens"]["total"] == 7


def test_a_server_that_stops_ends_its_streams_at_once(served: Any) -> None:
    with watching(served) as one, watching(served) as two:
        for blocks in (one, two):
            next(blocks)
            usage(next(blocks))
        began = time.monotonic()
        assert served.running.stop()
        assert time.monotonic() - began < 5
        assert list(one) == []
        assert list(two) == []
