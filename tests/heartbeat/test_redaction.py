"""The key comes out of everything that is said."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.heartbeat.redaction import described, redacted, shown_url

KEYS = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40)


@given(key=KEYS)
def test_no_shape_of_the_key_is_left(key: str) -> None:
    shapes = {key, quote(key), quote(key, safe=""), quote_plus(key), repr(key)[1:-1]}
    said = redacted(" | ".join(sorted(shapes)), key=key)
    assert all(shape not in said.replace("[REDACTED]", "") for shape in shapes)


def test_nested_causes_are_told_without_the_key() -> None:
    inner = ValueError("Invalid header value b'Bearer sk-1234'")
    middle = RuntimeError("sk-1234 in the middle")
    middle.__cause__ = inner
    outer = OSError()
    outer.__context__ = middle
    text = described(outer, key="sk-1234")
    assert text == (
        "OSError <- RuntimeError: [REDACTED] in the middle <- "
        "ValueError: Invalid header value b'Bearer [REDACTED]'"
    )


def test_without_a_key_the_text_stays() -> None:
    assert redacted("text", key=None) == "text"


def test_an_address_is_shown_without_secrets() -> None:
    assert shown_url("https://u:p@x.example:1/a?key=1#f") == "https://x.example:1/a"
