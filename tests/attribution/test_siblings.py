"""Numbers of equal-named sub-agents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenbeat.attribution.siblings import Siblings

steps = st.lists(
    st.tuples(st.sampled_from(["start", "end"]), st.integers(0, 5), st.none() | st.integers(1, 3))
)


@given(steps)
def test_those_that_are_open_never_share_a_number(
    actions: list[tuple[str, int, int | None]],
) -> None:
    siblings = Siblings()
    in_use: list[int] = []
    for action, which, moment in actions:
        if action == "start":
            number = siblings.take("a", moment=moment)
            assert number >= 1
            assert number not in in_use
            in_use.append(number)
        elif in_use:
            siblings.release("a", in_use.pop(which % len(in_use)))


@given(st.integers(1, 9), st.integers(1, 3))
def test_those_of_one_moment_are_counted_through(count: int, moment: int) -> None:
    siblings = Siblings()
    numbers: list[int] = []
    for _ in range(count):
        numbers.append(siblings.take("a", moment=moment))
        siblings.release("a", numbers[-1])
    assert numbers == list(range(1, count + 1))


def test_a_later_moment_begins_again() -> None:
    siblings = Siblings()
    siblings.release("a", siblings.take("a", moment=1))
    assert siblings.take("a", moment=2) == 1


def test_without_a_moment_the_lowest_free_number_is_taken() -> None:
    siblings = Siblings()
    assert [siblings.take("a", moment=None) for _ in range(3)] == [1, 2, 3]
    siblings.release("a", 2)
    assert siblings.take("a", moment=None) == 2


def test_names_are_counted_apart() -> None:
    siblings = Siblings()
    assert siblings.take("a", moment=1) == 1
    assert siblings.take("b", moment=1) == 1
