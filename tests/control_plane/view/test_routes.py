"""The page's files, without a browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tokenbeat.control_plane.view.files import read_page_files
from tokenbeat.control_plane.view.routes import PAGE_POLICY

FILES = read_page_files()


async def test_the_page_comes_with_a_policy_that_allows_our_own_files_only(lab: Any) -> None:
    answer = await lab.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert "'unsafe" not in PAGE_POLICY
    assert "data-locked" not in answer.text


async def test_every_file_that_the_page_names_is_served_with_its_type(lab: Any) -> None:
    named = set(re.findall(rb'(?:href|src)="assets/([^"]+)"', FILES["index.html"].body))
    for body in (file.body for name, file in FILES.items() if name.endswith(".js")):
        named |= set(re.findall(rb'from "\./([^"]+)"', body))
    assert {name.decode() for name in named} | {"index.html"} == set(FILES)
    for name in sorted(named):
        answer = await lab.client.get(f"/assets/{name.decode()}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == FILES[name.decode()].media_type
        assert answer.content == FILES[name.decode()].body


async def test_a_file_that_the_browser_has_is_not_sent_again(lab: Any) -> None:
    first = await lab.client.get("/assets/page.js")
    again = await lab.client.get(
        "/assets/page.js", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2froutes.py", "page.js%00"])
async def test_no_other_file_can_be_had(lab: Any, name: str) -> None:
    assert (await lab.client.get(f"/assets/{name}")).status_code == 404


async def test_without_the_key_the_page_says_that_it_needs_one(new_lab: Any) -> None:
    async with new_lab(open_reads=False) as lab:
        locked = await lab.client.get("/", headers={"Accept": "text/html"})
        assert locked.status_code == 401
        assert "data-locked" in locked.text
        # No dialogue of the browser's: it would keep the key as long as it runs.
        assert locked.headers["www-authenticate"].startswith("Bearer")
        key = lab.plane.secrets.admin_key
        opened = await lab.client.get("/", headers={"Authorization": f"Bearer {key}"})
        assert opened.status_code == 200
        assert "data-locked" not in opened.text


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_text(name: str) -> None:
    body = FILES[name].body.decode()
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\"'\s]*", body))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in body
    if name.endswith(".html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)", body)
        assert not re.search(r"<style|\sstyle=|\son\w+=", body)
