"""What a run adds to the path of its callers: the rule, free of LangChain's objects.

Run names and the tag that LangGraph puts on nodes decide. LangChain's own agent name alone
misleads: it is inherited by nameless sub-agents and lost by batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tokenbeat.usage.caller import UNATTRIBUTED, Caller, CallerStep, parse_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenbeat.attribution import Scope, ScopeKind

NAMELESS: Final = "LangGraph"
"""What LangGraph calls a graph that nobody named."""
DEFAULT_AGENT: Final = "agent"
"""The step of an outermost graph that nobody named."""
MODEL_NODE: Final = "model"
TOOLS_NODE: Final = "tools"
_INNER_NODES: Final = frozenset({MODEL_NODE, TOOLS_NODE, "agent"})
"""Nodes that an agent is made of: work in them is the agent's own."""
_HOOKS: Final = frozenset({"before_model", "after_model", "before_agent", "after_agent"})
_NODE_TAG: Final = "graph:step:"
_LABELS: Final = ("subagent:", "middleware:")
_LEAD_LABEL: Final = "lead_agent"


class Place(NamedTuple):
    """Where a run stands.

    Attributes:
        kind: The kind of its scope, or None where it has none of its own.
        name: The scope's name.
        base: The path that it continues.
        steps: What it adds.
        agent: The agent that it is: None for the one around it, an empty text for a nameless one.
    """

    kind: ScopeKind | None
    name: str
    base: Caller
    steps: tuple[CallerStep, ...]
    agent: str | None = None


def node_step(tags: Sequence[str]) -> int | None:
    """The step of the graph that a run tagged like this is a node of, or None: it is no node."""
    for tag in tags:
        if tag.startswith(_NODE_TAG):
            step = tag[len(_NODE_TAG) :]
            return int(step) if step.isdecimal() else 0
    return None


def caller_labels(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags that say who calls: ``lead_agent``, ``subagent:NAME``, ``middleware:NAME``."""
    return tuple(
        tag
        for tag in tags
        if tag == _LEAD_LABEL or (tag.startswith(_LABELS) and not tag.endswith(":"))
    )


def label_steps(labels: Sequence[str], *, below: Caller) -> tuple[CallerStep, ...]:
    """The steps of tags that were not inherited; the lead is never below anybody."""
    return tuple(parse_step(label) for label in labels if label != _LEAD_LABEL or not below.steps)


def place_graph(  # noqa: PLR0913 the rule looks at that much
    around: Scope | None,
    *,
    name: str,
    agent_name: str | None,
    agent_around: str | None,
    labels: Sequence[str],
    labelled_around: bool,
) -> Place:
    """Where a graph stands: it is an agent, or a workflow if nothing names it.

    Args:
        around: The scope around it.
        name: The run's name.
        agent_name: LangChain's own name of the agent.
        agent_around: The same of the graph around it.
        labels: Caller tags on it that are not inherited.
        labelled_around: Whether ``around`` is the user's own label: a graph of that very name is
            what was labelled, and no step below it.
    """
    base = UNATTRIBUTED if around is None else around.caller
    tool = _innermost_tool(base)
    # An agent stands in its tool's place, and a chain only names what has no agent.
    base = _without_last(base, types=("tool", "chain"))
    steps = label_steps(labels, below=base)
    if steps:
        kind = steps[-1].type
        return Place(kind, steps[-1].name, base, steps, steps[-1].name)
    if not base.steps:
        given = agent_name or (name if name != NAMELESS else None)
        step = CallerStep("lead_agent", given or DEFAULT_AGENT)
        named: ScopeKind = "lead_agent" if given else "workflow"
        return Place(named, given or name, base, (step,), given or "")
    if name != NAMELESS:
        given = name
    elif agent_name is not None and agent_name != agent_around:
        given = agent_name
    elif tool is not None:
        step = CallerStep("subagent", f"tool:{tool}")
        return Place("subagent", step.name, base, (step,), "")
    else:
        return Place("workflow", name, UNATTRIBUTED if around is None else around.caller, ())
    last = base.steps[-1]
    if labelled_around and last.name == CallerStep("subagent", given).name:
        kind = "lead_agent" if last.type == "lead_agent" else "subagent"
        return Place(kind, given, base, (), given)
    if last.type == "node" and last.name == CallerStep("node", given).name:
        base = Caller(base.steps[:-1])
    return Place("subagent", given, base, (CallerStep("subagent", given),), given)


def place_node(around: Scope | None, *, name: str, labels: Sequence[str]) -> Place:
    """Where a node stands: a middleware's hook, one of the user's, or inner workings."""
    base = UNATTRIBUTED if around is None else around.caller
    steps = label_steps(labels, below=base)
    if steps:
        return Place(steps[-1].type, steps[-1].name, base, steps)
    owner, dot, hook = name.rpartition(".")
    if dot and owner and hook in _HOOKS:
        return Place("middleware", owner, base, (CallerStep("middleware", owner),))
    if name in _INNER_NODES or name.startswith("__"):
        return Place(None, name, base, ())
    return Place("node", name, base, (CallerStep("node", name),))


def place_tool(around: Scope | None, *, name: str) -> Place:
    """Where a tool stands."""
    base = UNATTRIBUTED if around is None else around.caller
    return Place("tool", name, base, (CallerStep("tool", name),))


def place_chain(around: Scope | None, *, name: str, labels: Sequence[str]) -> Place:
    """Where a plain chain stands: only an outermost or a labelled one is worth a scope."""
    base = UNATTRIBUTED if around is None else around.caller
    steps = label_steps(labels, below=base)
    if steps:
        agent = steps[-1].name if steps[-1].type in {"subagent", "lead_agent"} else None
        return Place(steps[-1].type, steps[-1].name, base, steps, agent)
    if base.steps:
        return Place(None, name, base, ())
    return Place("workflow", name, base, (CallerStep("chain", name),))


def _innermost_tool(path: Caller) -> str | None:
    if path.steps and path.steps[-1].type == "tool":
        return path.steps[-1].name
    return None


def _without_last(path: Caller, *, types: tuple[str, ...]) -> Caller:
    steps = path.steps
    while steps and steps[-1].type in types:
        steps = steps[:-1]
    return path if steps is path.steps else Caller(steps)
