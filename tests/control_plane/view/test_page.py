"""The page in a real browser, over a real control plane."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright import sync_api

if TYPE_CHECKING:
    from pathlib import Path

# Its methods take patterns of an unknown type, which a strict checker minds at every use.
expect: Any = sync_api.expect

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
LOOKS = [("light", "light", 1400), ("dark", "dark", 1400), ("narrow", "light", 400)]
LONG = "a-model-whose-name-has-no-place-to-break-" * 5


def grouped(value: int) -> str:
    return f"{value:,}"


def rows_of(page: Any, table: str) -> list[list[str]]:
    """The texts of a table's body, as somebody reads them."""
    return [
        [cell.text_content() or "" for cell in row.locator("th, td").all()]
        for row in page.locator(f"#{table} tbody tr").all()
    ]


def collect(page: Any, event: str, into: list[Any]) -> None:
    """Keep what a page tells; the driver marks its listeners, which a bound method refuses."""

    def listener(told: Any) -> None:
        into.append(told)

    page.on(event, listener)


def report_two_services(shown: Any, beat: Any, cell: Any) -> None:
    """A lead with sub-agents on several models, and a second service that was silent for long."""
    names = {"openai": "gpt-4o-2024-08-06", "anthropic": "claude-sonnet-4-5-20250929"}
    cells = [
        cell("lead_agent", 1_203_450, responseModel=names["openai"], agent="lead"),
        cell(
            "lead_agent/subagent:researcher",
            88_120,
            model="claude-sonnet-4-5",
            provider="anthropic",
            responseModel=names["anthropic"],
            agent="researcher",
            tokens={"input": 88_120, "output": 9_876, "cacheRead": 40_000, "reasoning": 512},
            calls={"ok": 12, "error": 1, "withUsage": 12, "partial": 2, "items": 13},
            failedAttempts=3,
        ),
        cell("lead_agent/middleware:title", 940, model="gpt-4o-mini", agent="lead"),
        cell("unattributed", 77, model="gpt-4o-mini"),
    ]
    runs = [
        {
            "run": "run-1",
            "status": "open",
            "startedAt": "2026-04-01T00:00:05.000Z",
            "cells": cells[:1],
        }
    ]
    shown.clock.advance(100_000_000_000)
    books = {"finished": 20, "undelivered": 1_500}
    shown.send(beat((40, cells[2:]), (90, cells), sent=95, runs=runs, books=books, open=2))
    other = [cell("lead_agent", 4_321, model="llama3")]
    shown.send(beat((30, other), sent=30, service="triage", incarnation="q" * 16))


def test_the_page_shows_the_numbers_of_the_api_exactly(
    shown: Any, beat: Any, cell: Any, open_window: Any, pictures: Path
) -> None:
    report_two_services(shown, beat, cell)
    page = open_window().page
    page.goto(shown.address)
    fleet = shown.json("usage?by=service")
    totals = fleet["totals"]
    expect(page.locator("#hero-total")).to_have_text(grouped(totals["tokens"]["total"]))
    assert page.locator("#hero-total").get_attribute("value") == str(totals["tokens"]["total"])
    parts = page.locator("#parts > div").all_text_contents()
    assert parts == [
        f"Input{grouped(totals['tokens']['input'])}",
        f"of which read from cache{grouped(totals['tokens']['cacheRead'])}",
        f"Output{grouped(totals['tokens']['output'])}",
        f"of which reasoning{grouped(totals['tokens']['reasoning'])}",
    ]

    agents = {agent["agentName"]: agent for agent in shown.json("agents")}
    for row in rows_of(page, "services"):
        agent = agents.pop(row[0].removesuffix("live").removesuffix("silent"))
        spent = agent["totals"]
        assert row[2] == grouped(spent["tokens"]["total"])
        assert row[4:8] == [
            grouped(spent["tokens"]["input"]),
            grouped(spent["tokens"]["output"]),
            grouped(spent["calls"]["finished"]),
            grouped(spent["calls"]["unknownUsage"]),
        ]
    assert agents == {}

    for by in ("caller,model", "model", "caller", "agent"):
        page.locator(f"#by input[value='{by}']").check()
        expect(page.locator("#split thead th")).to_have_count(by.count(",") + 9)
        expect(page.locator("#split thead th").first).to_have_text(by.split(",")[0].capitalize())
        report = shown.json(f"usage?by={by}")
        lines = rows_of(page, "split")
        assert len(lines) == report["rowCount"]
        first_number = by.count(",") + 1
        for line, row in zip(lines, report["rows"], strict=True):
            names = [row[name] or "none named" for name in by.split(",")]
            assert line[0] == "".join(names)  # on narrow screens the others stand below
            assert line[1:first_number] == names[1:]
            assert line[first_number] == grouped(row["tokens"]["total"])
            assert line[first_number + 2 :] == [
                grouped(row["tokens"]["input"]),
                grouped(row["tokens"]["cacheRead"]),
                grouped(row["tokens"]["output"]),
                grouped(row["tokens"]["reasoning"]),
                grouped(row["calls"]["finished"]),
                grouped(row["calls"]["unknownUsage"]),
            ]

    facts = dict(
        zip(
            page.locator("#facts .label").all_text_contents(),
            page.locator("#facts .value").all_text_contents(),
            strict=True,
        )
    )
    assert facts["Still on the way"] == "1,500"
    assert facts["Partial"] == "2"
    assert facts["Failed attempts"] == "3"
    assert facts["Calls under way"] == "2"
    assert facts["Unattributed"] == "< 0.1 %"
    assert rows_of(page, "runs")[0][0].startswith("run-1")

    for name, scheme, width in (
        ("light", "light", 1400),
        ("dark", "dark", 1400),
        ("narrow", "light", 400),
    ):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("scrollTo(0, 0)")
        picture = pictures / f"page-{name}.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 20_000


def test_the_page_updates_by_itself_when_a_heartbeat_arrives(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    shown.send(beat((10, [cell("lead_agent", 100)]), sent=10))
    page = open_window().page
    page.goto(shown.address)
    expect(page.locator("#hero-total")).to_have_text("100")
    expect(page.locator("#pulse")).to_have_text("Live")
    page.evaluate("window.notReloaded = true")
    button = page.get_by_role("button", name="research")
    button.focus()
    shown.send(
        beat(
            (20, [cell("lead_agent", 1_142), cell("lead_agent/subagent:writer", 8)]),
            sent=20,
            revision=2,
            base=1,
        )
    )
    expect(page.locator("#hero-total")).to_have_text("1,150")
    expect(page.locator("#split tbody tr")).to_have_count(2)
    expect(page.locator("#plot .bar")).to_have_count(1)
    assert page.evaluate("window.notReloaded") is True
    assert page.evaluate("document.activeElement.textContent") == "research"


def test_an_empty_control_plane_tells_how_to_connect_an_agent_and_then_fills(
    shown: Any, beat: Any, cell: Any, open_window: Any, pictures: Path
) -> None:
    page = open_window().page
    page.goto(shown.address)
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#fleet")).to_be_hidden()
    assert f"TOKENBEAT_CONTROL_PLANE_URL={shown.address}" in page.inner_text("#steps")
    page.screenshot(path=pictures / "page-empty.png", full_page=True)
    shown.send(beat((10, [cell("lead_agent", 100)]), sent=10))
    expect(page.locator("#hero-total")).to_have_text("100")
    expect(page.locator("#welcome")).to_be_hidden()


def test_names_that_are_markup_are_shown_as_text(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    hostile = cell(f"lead_agent/subagent:{HOSTILE}", 5, model=HOSTILE, agent=HOSTILE)
    run: dict[str, Any] = {"run": HOSTILE, "status": "open", "cells": []}
    run["startedAt"] = "2026-04-01T00:00:00.000Z"
    shown.send(beat((10, [hostile]), sent=10, runs=[run]))
    page = open_window().page
    dialogues: list[Any] = []
    collect(page, "dialog", dialogues)
    page.goto(f"{shown.address}/?range=hour")
    expect(page.locator("#split tbody tr")).to_have_count(1)
    assert HOSTILE in page.inner_text("#split")
    assert HOSTILE in page.inner_text("#legend")
    assert HOSTILE in page.inner_text("#runs")
    page.locator("#plot svg").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_be_visible()
    assert page.locator("main img, main script").count() == 0
    assert dialogues == []


def test_nothing_scrolls_sideways_at_400_pixels(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    cells = [
        cell("lead_agent/subagent:" + "x" * 64, 9_876_543_210, model=LONG, agent=LONG[:200]),
        cell("lead_agent", 1, model="gpt-4o"),
    ]
    run = {"run": LONG, "status": "open", "startedAt": "2026-04-01T00:00:00.000Z", "cells": cells}
    shown.send(beat((10, cells), sent=10, service="s" * 63, runs=[run]))
    page = open_window(width=400).page
    page.goto(shown.address)
    for by in ("caller,model", "agent"):
        page.locator(f"#by input[value='{by}']").check()
        expect(page.locator("#split tbody tr")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_sums_past_2_to_the_53_are_shown_to_the_last_digit(
    showing: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    with showing(max_beat_increase=10**15) as shown:
        cells = [cell(f"lead_agent/subagent:s{n}", 10**15 - n) for n in range(10)]
        shown.send(beat((10, cells), sent=10))
        page = open_window().page
        page.goto(shown.address)
        expect(page.locator("#hero-total")).to_have_text(grouped(10**16 - 45))
        page.close()  # before its server goes


def test_a_range_shows_what_happened_in_it(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    shown.clock.advance(3 * 3_600 * 1_000_000_000)
    early, late = 60, 3 * 3_600 - 60
    shown.send(
        beat(
            (early, [cell("lead_agent", 1_000)]),
            (late, [cell("lead_agent", 1_600)]),
            sent=3 * 3_600,
        )
    )
    page = open_window().page
    page.goto(shown.address)
    expect(page.locator("#hero-total")).to_have_text("1,600")
    page.get_by_role("radio", name="1 h").check()
    expect(page.locator("#hero-total")).to_have_text("600")
    expect(page.locator("#hero-title")).to_have_text("Tokens, last hour")
    assert page.url.endswith("?range=hour")
    page.reload()
    expect(page.locator("#hero-total")).to_have_text("600")


def test_the_page_says_when_it_is_not_live_and_catches_up_by_itself(
    showing: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    page = open_window(expected="ERR_").page
    with showing() as shown:
        shown.send(beat((10, [cell("lead_agent", 100)]), sent=10))
        port = int(shown.address.rsplit(":", 1)[1])
        page.goto(shown.address)
        expect(page.locator("#pulse")).to_have_text("Live")
        expect(page.locator("#hero-total")).to_have_text("100")
    expect(page.locator("#pulse")).to_have_text(re.compile("Reconnecting"))
    expect(page.locator("#hero-total")).to_have_text("100")  # what it knew stays, with its age
    with showing(port=port) as shown:
        shown.send(beat((20, [cell("lead_agent", 142)]), sent=20, revision=2, base=1))
        expect(page.locator("#pulse")).to_have_text("Live")
        expect(page.locator("#hero-total")).to_have_text("142")


def test_a_reading_that_fails_is_said_and_tried_again(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    shown.send(beat((10, [cell("lead_agent", 100)]), sent=10))
    page = open_window(expected="Failed to load resource").page
    page.goto(shown.address)
    expect(page.locator("#hero-total")).to_have_text("100")
    page.route("**/api/v1/agents*", refuse)
    shown.send(beat((20, [cell("lead_agent", 142)]), sent=20, revision=2, base=1))
    expect(page.locator("#trouble")).to_contain_text("api/v1/agents answered 500")
    expect(page.locator("#hero-total")).to_have_text("100")
    page.unroute("**/api/v1/agents*")
    expect(page.locator("#hero-total")).to_have_text("142")
    expect(page.locator("#trouble")).to_be_hidden()


def refuse(route: Any) -> None:
    route.fulfill(status=500, body="{}")


def test_rows_past_the_first_fifty_are_summed_and_can_be_had(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    cells = [cell(f"lead_agent/tool:t{n}", 1_000 - n) for n in range(60)]
    shown.send(beat((10, cells), sent=10))
    page = open_window().page
    page.goto(shown.address)
    expect(page.locator("#split tbody tr")).to_have_count(50)
    rest = shown.json("usage?by=caller,model&limit=50")["rest"]["tokens"]["total"]
    more = page.locator("#split .more")
    expect(more).to_contain_text(f"10 more rows with {grouped(rest)} tokens")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#split tbody tr")).to_have_count(60)
    expect(more).to_be_hidden()


def test_where_a_key_is_needed_the_page_asks_for_it_and_keeps_it_in_its_tab_alone(
    showing: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    # The browser writes each refused reading into its console.
    page = open_window(expected="Failed to load resource").page
    requests: list[Any] = []
    collect(page, "request", requests)
    with showing(open_reads=False) as shown:
        shown.send(beat((10, [cell("lead_agent", 100)]), sent=10))
        assert httpx.get(f"{shown.address}/api/v1/usage").status_code in {401, 403}
        page.goto(shown.address)
        expect(page.locator("#gate")).to_be_visible()
        expect(page.locator("#fleet")).to_be_hidden()
        expect(page.locator("#gate-refused")).to_be_hidden()
        page.get_by_label("Key").fill("not the key")
        page.keyboard.press("Enter")
        expect(page.locator("#gate-refused")).to_be_visible()
        page.get_by_label("Key").fill(shown.admin_key)
        page.keyboard.press("Enter")
        expect(page.locator("#hero-total")).to_have_text("100")
        expect(page.locator("#pulse")).to_have_text("Live")
        page.reload()
        expect(page.locator("#hero-total")).to_have_text("100")
        stored = json.loads(page.evaluate("JSON.stringify([localStorage, document.cookie])"))
        assert stored == [{}, ""]
        assert not any(shown.admin_key in request.url for request in requests)
        page.get_by_role("button", name="Forget the key").click()
        expect(page.locator("#gate")).to_be_visible()
        expect(page.locator("#fleet")).to_be_hidden()


def test_the_page_can_be_used_by_keyboard_and_read_aloud(
    shown: Any, beat: Any, cell: Any, open_window: Any
) -> None:
    report_two_services(shown, beat, cell)
    page = open_window(reduced_motion="reduce").page
    page.goto(shown.address)
    expect(page.locator("#split tbody tr")).to_have_count(5)
    for table in page.locator("table:visible").all():
        assert table.locator("caption").count() == 1
        assert table.locator("thead th:not([scope=col])").count() == 0
        assert table.locator("tbody tr > :first-child:not(th[scope=row])").count() == 0
    page.locator("#plot svg").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text("tokens")
    expect(page.locator("#plot [aria-live]")).to_contain_text("tokens")
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()
    page.get_by_role("button", name="As a table").click()
    expect(page.locator("#chart-table table")).to_be_visible()
    series = shown.json("usage/series?by=model")
    in_table = [row[2] for row in rows_of(page, "chart-table")]
    assert sorted(in_table) == sorted(grouped(p["tokens"]["total"]) for p in series["points"])
    page.get_by_role("button", name="triage").press("Enter")
    expect(page.locator("#split tbody tr")).to_have_count(1)
    assert page.locator("#service").input_value() == "triage"
    running = page.evaluate("document.getAnimations().filter(a => a.playState == 'running').length")
    assert running == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    shown: Any, beat: Any, cell: Any, open_window: Any, scheme: str
) -> None:
    report_two_services(shown, beat, cell)
    page = open_window(color_scheme=scheme, reduced_motion="reduce").page
    page.goto(shown.address)
    expect(page.locator("#split tbody tr")).to_have_count(5)
    faint = page.evaluate(CONTRAST)
    assert faint == []


CONTRAST = """() => {
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim() !== "");
    const apart = node.closest("svg, .unseen, .skip, noscript, option");
    if (!own || apart || !node.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${node.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
