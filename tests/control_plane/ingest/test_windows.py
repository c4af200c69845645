"""Beats of AgentSpec's own reporters: 204, windows by maximum, their shapes and limits."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tokenbeat.control_plane.db.models import AgentSpecWindow, CellKeyRow, Incarnation, Service

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers

_TEN_SECONDS_NS = 10_000_000_000
_SERVICE = ("agentspec:research", "unattributed")


async def _send(lab: Lab, message: Any, *, key: str | None = None) -> Any:
    answer = await lab.send(message, key=key)
    lab.clock.advance(_TEN_SECONDS_NS)
    return answer


async def test_a_beat_without_cells_is_204_and_its_window_is_counted(any_lab: Lab) -> None:
    answer = await _send(any_lab, _window(_model("openai/gpt-4o", 100, 50)))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await any_lab.cells() == {
        _SERVICE: {
            "ok": 1,
            "with_usage": 1,
            "items": 1,
            "input_tokens": 100,
            "output_tokens": 50,
        }
    }
    (key,) = await any_lab.rows(CellKeyRow)
    assert (key.operation, key.provider, key.request_model) == ("chat", "openai", "gpt-4o")


async def test_a_window_whose_tokens_will_come_as_cells_is_not_counted(lab: Lab) -> None:
    window = json.dumps(_window(_model("m", 100, 50))).encode()
    answer = await lab.post(window, tokenbeat_incarnation="abcdefgh234567ab")
    assert (answer.status_code, answer.json()["revision"]) == (200, 0)
    assert await lab.everything() == [{}, {}, {}]


async def test_a_hundred_and_one_windows_of_ten_tokens_are_1010(any_lab: Lab) -> None:
    for number in range(101):
        started = f"2026-04-01T00:{number // 60:02d}:{number % 60:02d}.000Z"
        await _send(any_lab, _window(_model("m", 10, 0), started=started))
    assert (await any_lab.cells())[_SERVICE]["input_tokens"] == 1010
    assert await any_lab.buckets_equal_cells()


async def test_the_same_window_twice_counts_once_however_its_start_is_written(
    any_lab: Lab,
) -> None:
    for started in (
        "2026-04-01T00:00:00.000Z",
        "2026-04-01T00:00:00.000000+00:00",
        "2026-04-01T02:00:00+02:00",
    ):
        await _send(any_lab, _window(_model("m", 10, 5), started=started))
    counts = (await any_lab.cells())[_SERVICE]
    assert (counts["input_tokens"], counts["output_tokens"], counts["ok"]) == (10, 5, 1)


async def test_windows_out_of_order_never_let_a_total_fall(any_lab: Lab) -> None:
    for prompt in (10, 30, 20):
        await _send(any_lab, _window(_model("m", prompt, 0)))
        assert (await any_lab.cells())[_SERVICE]["input_tokens"] >= prompt
    assert (await any_lab.cells())[_SERVICE]["input_tokens"] == 30


async def test_a_total_that_is_split_later_is_not_counted_again(any_lab: Lab) -> None:
    whole = {"modelId": "m", "totalTokens": 342, "callCount": 1}
    await _send(any_lab, _window(whole))
    await _send(any_lab, _window(_model("m", 200, 142)))
    counts = (await any_lab.cells())[_SERVICE]
    assert counts["unclassified_tokens"] == 342
    assert "input_tokens" not in counts


async def test_a_window_start_that_is_no_time_is_a_name(any_lab: Lab) -> None:
    for started in ("first", "first", "second"):
        await _send(any_lab, _window(_model("m", 10, 0), started=started))
    assert (await any_lab.cells())[_SERVICE]["input_tokens"] == 20


async def test_entries_of_one_model_within_a_window_are_summed(any_lab: Lab) -> None:
    await _send(any_lab, _window(_model("m", 10, 0), _model("m", 5, 0)))
    assert (await any_lab.cells())[_SERVICE]["input_tokens"] == 15


async def test_an_idle_window_only_says_seen(any_lab: Lab) -> None:
    await _send(any_lab, _window())
    await _send(any_lab, _window(_model("m", 0, 0, calls=0)))
    await _send(any_lab, {"health": {}, "gap": {}, "usage": None})
    assert await any_lab.everything() == [{}, {}, {}]
    assert await any_lab.rows(AgentSpecWindow) == []
    (service,) = await any_lab.rows(Service)
    assert service.last_seen is not None
    assert service.last_seen.utcoffset() == timedelta(0)


async def test_the_last_known_window_stays_with_its_own_time(lab: Lab) -> None:
    await _send(lab, _window({**_model("m", 10, 5), "note": 1}, extra="dropped"))
    received_at = (await lab.rows(Service))[0].window_received_at
    await _send(lab, {"health": {}, "gap": {}})
    (service,) = await lab.rows(Service)
    assert service.window == {
        "windowStartedAt": "2026-04-01T00:00:00.000Z",
        "models": [{**_model("m", 10, 5), "note": 1}],
        "totalTokens": 15,
        "totalCalls": 1,
    }
    assert service.window_received_at == received_at


async def test_beside_cells_a_window_is_shown_and_never_counted(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    message = beat((30, [cell("lead", 7)]))
    message["usage"] = _window(_model("m", 7, 0))["usage"]
    assert (await any_lab.send(message)).status_code == 200
    assert list(await any_lab.cells()) == [("abcdefgh234567ab", "lead")]
    assert (await any_lab.rows(Service))[0].window["totalTokens"] == 7


async def test_a_second_beat_within_ten_seconds_is_429_with_retry_after(any_lab: Lab) -> None:
    await any_lab.send(_window(_model("m", 1, 0)))
    any_lab.clock.advance(7_500_000_000)
    answer = await any_lab.send(_window(_model("m", 2, 0)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert (await any_lab.cells())[_SERVICE]["input_tokens"] == 1
    any_lab.clock.advance(2_500_000_000)
    assert (await any_lab.send(_window(_model("m", 2, 0)))).status_code == 204


async def test_a_refused_beat_uses_up_no_slot(lab: Lab) -> None:
    assert (await lab.post(b"{")).status_code == 422
    assert (await lab.send({"health": {}})).json()["field"] == "gap"
    assert (await lab.send(_window())).status_code == 204


async def test_a_new_key_does_not_reset_the_rate_and_a_clock_set_back_does_not_lock_out(
    lab: Lab,
) -> None:
    await lab.send(_window())
    await lab.key()
    assert (await lab.send(_window())).status_code == 429
    lab.clock.step_wall(-3_600_000_000_000)
    assert (await lab.send(_window())).status_code == 204


async def test_beats_with_cells_are_not_limited_by_the_reporters_rate(lab: Lab, beat: Any) -> None:
    await lab.send(_window())
    for incarnation in ("a" * 16, "b" * 16):
        for _ in range(3):
            assert (await lab.send(beat(incarnation=incarnation))).status_code == 200


@pytest.mark.parametrize(
    ("health", "gap", "phase", "grade"),
    [
        ({"status": "ready"}, {"score": 90}, "Healthy", "A"),
        ({"status": "healthy"}, {"overallScore": 75}, "Healthy", "B"),
        ({"status": "degraded"}, {"score": 60.9}, "Degraded", "C"),
        ({"status": "unavailable"}, {"score": 45}, "Unhealthy", "D"),
        ({"status": 7}, {"score": -3}, "Unknown", "F"),
        ({}, {"score": 1_000}, "Unknown", "A"),
        ({"agent_name": "x"}, {"score": "high"}, "Unknown", None),
    ],
)
async def test_real_reporters_shapes_have_a_phase_and_a_grade(
    lab: Lab, health: Any, gap: Any, phase: str, grade: str | None
) -> None:
    assert (await lab.send({"health": health, "gap": gap})).status_code == 204
    (service,) = await lab.rows(Service)
    assert (service.phase, service.grade) == (phase, grade)
    assert (service.health, service.gap) == (health, gap)


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"totalTokens": 5, "totalCalls": 1, "models": [{"modelId": "m", "totalTokens": 4,
          "callCount": 1}]}, "usage.totalTokens"),
        ({"totalTokens": 4, "totalCalls": 2, "models": [{"modelId": "m", "totalTokens": 4,
          "callCount": 1}]}, "usage.totalCalls"),
        ({"totalTokens": 4, "totalCalls": 1, "models": [{"modelId": "m", "totalTokens": 4,
          "promptTokens": 3, "completionTokens": 2, "callCount": 1}]},
         "usage.models[0].totalTokens"),
        ({"totalTokens": 4, "totalCalls": 1, "models": [{"modelId": "m", "totalTokens": 4,
          "callCount": 1}]}, "usage.windowStartedAt"),
        ({"windowStartedAt": "w", "totalTokens": 10**11, "totalCalls": 1, "models": [
          {"modelId": "m", "totalTokens": 10**11, "callCount": 1}]},
         "usage.models[0].totalTokens"),
        ({"windowStartedAt": "w", "totalTokens": 1, "totalCalls": 10**11, "models": [
          {"modelId": "m", "totalTokens": 1, "callCount": 10**11}]},
         "usage.models[0].callCount"),
    ],
)  # fmt: skip
async def test_a_window_that_cannot_be_is_named_and_not_stored(
    lab: Lab, usage: Any, field: str
) -> None:
    answer = await lab.send({"health": {}, "gap": {}, "usage": usage})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert await lab.everything() == [{}, {}, {}]
    assert await lab.rows(AgentSpecWindow) == []
    assert await lab.rows(Incarnation) == []
    assert (await lab.send(_window(_model("m", 1, 0)))).status_code == 204


async def test_65536_bytes_pass(lab: Lab) -> None:
    message = json.dumps({"health": {}, "gap": {}}).encode()
    assert (await lab.post(message + b" " * (65_536 - len(message)))).status_code == 204


async def test_models_past_a_thousand_are_counted_together_and_totals_stay_exact(
    lab: Lab,
) -> None:
    for part in range(3):
        models = [_model(f"m{part}-{number}", 1, 0) for number in range(400)]
        answer = await _send(lab, _window(*models, started=f"window {part}"))
        assert answer.status_code == 204
    cells = await lab.rows(CellKeyRow)
    assert len(cells) == 1_001
    async with lab.plane.database.read():
        sums = await lab.rows(AgentSpecWindow)
    assert sum(row.prompt_tokens for row in sums) == 1_200
    assert await lab.buckets_equal_cells()


async def test_windows_nobody_tells_of_any_more_are_forgotten_after_35_days(lab: Lab) -> None:
    await lab.send(_window(_model("m", 1, 0), started="old"))
    lab.clock.advance(36 * 86_400_000_000_000)
    await lab.key()
    await lab.send(_window(_model("m", 1, 0), started="new"))
    assert [row.window for row in await lab.rows(AgentSpecWindow)] == ["new"]
    assert (await lab.cells())[_SERVICE]["input_tokens"] == 2


async def test_with_a_fleet_key_the_agent_names_itself(lab: Lab) -> None:
    fleet = await lab.key("everything", kind="fleet")
    for name in ("agentName", "agent_name"):
        message = {"health": {name: f"My {name}"}, "gap": {}}
        assert (await lab.send(message, key=fleet)).status_code == 204
    services = [row.service for row in await lab.rows(Service)]
    assert sorted(services) == ["my-agent-name", "my-agentname"]
    answer = await lab.send({"health": {}, "gap": {}}, key=fleet)
    assert (answer.status_code, answer.json()["field"]) == (422, "health.agentName")


async def test_a_proof_is_kept(lab: Lab) -> None:
    await lab.send({"health": {}, "gap": {}, "proof": [{"rule": "r1"}]})
    assert (await lab.rows(Service))[0].proof == [{"rule": "r1"}]


def _model(model_id: str, prompt: int, completion: int, *, calls: int = 1) -> Any:
    return {
        "modelId": model_id,
        "promptTokens": prompt,
        "completionTokens": completion,
        "totalTokens": prompt + completion,
        "callCount": calls,
    }


def _window(*models: Any, started: str = "2026-04-01T00:00:00.000Z", **more: Any) -> Any:
    usage = {
        "windowStartedAt": started,
        "models": list(models),
        "totalTokens": sum(model["totalTokens"] for model in models),
        "totalCalls": sum(model["callCount"] for model in models),
        **more,
    }
    return {"health": {"status": "ready"}, "gap": {"score": 80}, "usage": usage}
