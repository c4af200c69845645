"""Random trees of agents: a lead, its middleware, its tools and the sub-agents behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

AskHow = Literal["ok", "silent", "refused", "broken", "left", "cached", "cancelled"]
"""How one model call goes: well; well but without a word about usage; an error before the first
byte; an error in the middle of a stream; a stream that is left after its first piece; the same
question twice with LangChain's cache; cancelled while it waits."""

EndHow = Literal["ok", "silent", "refused", "broken"]
"""How an agent's last turn goes."""

Place = Literal["here", "own_loop", "pool", "batch"]
"""Where a sub-agent runs: in its tool, in a thread and event loop of its own, in a plain thread
pool, or twice at once by ``batch``."""

Hook = Literal["before_agent", "before_model", "after_agent"]
Lead = Literal["invoke", "ainvoke", "stream", "astream", "batch"]

MODELS = 5
"""How many models there are to choose from; see `playing.models`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One model call that is made in a tool, beside all agents."""

    model: int
    how: AskHow


@dataclass(frozen=True, slots=True)
class Middleware:
    """A model call that a middleware makes."""

    model: int
    hook: Hook
    how: Literal["ok", "silent"]


@dataclass(frozen=True, slots=True)
class SubAgent:
    """An agent behind a tool."""

    agent: Agent
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent made by ``create_agent``. Each turn but the last calls some tools, all at once."""

    model: int
    turns: tuple[tuple[Ask | SubAgent, ...], ...]
    middleware: tuple[Middleware, ...]
    end: EndHow


@dataclass(frozen=True, slots=True)
class Tree:
    """A lead agent and how it is run."""

    lead: Agent
    how: Lead


_models = st.integers(0, MODELS - 1)
_asks = st.builds(
    Ask,
    _models,
    st.sampled_from(
        ("ok", "ok", "silent", "refused", "broken", "left", "cached", "cancelled"),
    ),
)
_middleware = st.builds(
    Middleware,
    _models,
    st.sampled_from(("before_agent", "before_model", "after_agent")),
    st.sampled_from(("ok", "ok", "silent")),
)
_ends = st.sampled_from(("ok", "ok", "ok", "ok", "silent", "refused", "broken"))
_places = st.sampled_from(("here", "own_loop", "pool", "batch"))


def _agents(
    children: st.SearchStrategy[Ask | SubAgent], *, turns: int, together: int = 2
) -> st.SearchStrategy[Agent]:
    at_once = st.lists(children, min_size=1, max_size=together).map(tuple)
    return st.builds(
        Agent,
        _models,
        st.lists(at_once, max_size=turns).map(tuple),
        st.lists(_middleware, max_size=1).map(tuple),
        _ends,
    )


def _sub_agents(agents: st.SearchStrategy[Agent]) -> st.SearchStrategy[SubAgent]:
    return st.builds(SubAgent, agents, st.sampled_from(("researcher", "writer")), _places)


_leaves = _agents(_asks, turns=1)
_inner = _agents(_asks | _sub_agents(_leaves), turns=1)
trees = st.builds(
    Tree,
    _agents(_asks | _sub_agents(_inner), turns=2, together=3),
    st.sampled_from(("invoke", "ainvoke", "stream", "astream", "batch")),
)


def everything(how: Lead, *, shift: int) -> Tree:
    """A tree with every kind of call and every place of a sub-agent; ``shift`` turns the models."""

    def model(number: int) -> int:
        return (number + shift) % MODELS

    def asks(*hows: AskHow) -> tuple[Ask, ...]:
        return tuple(Ask(model(number), how) for number, how in enumerate(hows))

    def helper(number: int, place: Place) -> SubAgent:
        turns = (asks("ok", "left"),)
        title = Middleware(model(number), "before_model", "ok")
        return SubAgent(Agent(model(number), turns, (title,), "ok"), "researcher", place)

    turns: tuple[tuple[Ask | SubAgent, ...], ...] = (
        asks("ok", "silent", "refused", "broken", "left", "cached", "cancelled"),
        (helper(1, "here"), helper(2, "own_loop"), helper(3, "pool"), helper(4, "batch")),
    )
    return Tree(Agent(model(0), turns, (Middleware(model(2), "after_agent", "ok"),), "ok"), how)
