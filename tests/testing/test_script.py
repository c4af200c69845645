"""Which request gets which answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tokenbeat.testing import Answer, Rule, Script
from tokenbeat.testing.asked import Asked, tag_in, text_for, usage_for
from tokenbeat.testing.errors import MalformedScript
from tokenbeat.testing.script import Player

ASKED = Asked(
    api="openai.chat_completions",
    operation="chat",
    model="gpt-4o",
    stream=False,
    include_usage=True,
    continuous_usage=False,
    choices=1,
    items=1,
    turn=0,
    after_tool=False,
    system_text="You are the lead.",
    last_text="Find tokens.",
    prompt_characters=400,
    fingerprint=0,
    user=None,
    tag=None,
)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(), True),
        (Rule(model="gpt-4o", operation="chat", api="openai.chat_completions"), True),
        (Rule(model="gpt-4"), False),
        (Rule(system_contains="lead", last_contains="tokens"), True),
        (Rule(system_contains="researcher"), False),
        (Rule(last_contains="lead"), False),
        (Rule(turn=0, after_tool=False, stream=False), True),
        (Rule(turn=1), False),
        (Rule(after_tool=True), False),
        (Rule(stream=True), False),
    ],
)
def test_a_rule_matches_where_every_condition_holds(rule: Rule, *, matches: bool) -> None:
    assert rule.matches(ASKED) is matches


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(answers=(Answer(text="a"), Answer(text="b"))), "abbb"),
        (Rule(answers=(Answer(text="a"), Answer(text="b")), afterwards="start_over"), "abab"),
        (Rule(answers=(Answer(text="a"), Answer(text="b")), afterwards="next_rule"), "abzz"),
    ],
)
def test_a_rules_answers_follow_each_other(rule: Rule, said: str) -> None:
    player = Player(Script(rules=(rule, Rule(answers=(Answer(text="z"),)))))

    assert "".join(player.choose(ASKED).answer.text or "?" for _ in range(4)) == said


def test_rules_come_before_the_queue_and_the_queue_before_the_default() -> None:
    player = Player(
        Script(
            rules=(Rule(model="other", answers=(Answer(text="rule"),)),),
            queue=(Answer(text="queued"),),
            default=Answer(text="default"),
        )
    )
    player.enqueue(Answer(text="queued later"))
    other = replace(ASKED, model="other")

    said = [player.choose(asked).answer.text for asked in (other, ASKED, other, ASKED, ASKED)]

    assert said == ["rule", "queued", "rule", "queued later", "default"]
    assert player.queued == 0


def test_a_rule_without_answers_gives_its_label_only() -> None:
    player = Player(Script(rules=(Rule(label="lead"),), queue=(Answer(text="queued"),)))
    player.add(Rule(label="late", answers=(Answer(text="late"),)))

    assert player.choose(ASKED).label == "late"
    assert Player(Script(rules=(Rule(label="lead"),))).choose(ASKED).label == "lead"


def test_parallel_clients_get_each_queued_answer_once() -> None:
    player = Player(Script())
    player.enqueue(*(Answer(text=str(number)) for number in range(200)))

    def ask(_number: int) -> str | None:
        return player.choose(ASKED).answer.text

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(ask, range(200)))

    assert sorted(int(text or "-1") for text in said) == list(range(200))


def test_an_answer_without_usage_costs_what_its_request_says() -> None:
    price = usage_for(ASKED, answer=Answer())

    assert (price.input_tokens, price.output_tokens) == (104, 5)
    assert (price.cache_read_tokens, price.reasoning_tokens) == (52, 1)
    assert usage_for(replace(ASKED, fingerprint=7), answer=Answer()).output_tokens == 12
    assert usage_for(replace(ASKED, choices=3), answer=Answer()).output_tokens == 15
    assert usage_for(replace(ASKED, operation="embeddings"), answer=Answer()).output_tokens == 0


def test_an_answer_without_text_says_something_unless_it_calls_tools() -> None:
    assert text_for(ASKED, answer=Answer(text="")) == ""
    assert "00000000" in text_for(ASKED, answer=Answer())


def test_a_marker_in_the_system_prompt_is_a_label() -> None:
    assert tag_in("You help. [bill:lead_agent/subagent:researcher] Be brief.") == (
        "lead_agent/subagent:researcher"
    )
    assert tag_in("You help. [bill:]") is None


def test_a_script_needs_a_number_as_its_seed() -> None:
    with pytest.raises(MalformedScript, match="seed"):
        Script(seed=True)
