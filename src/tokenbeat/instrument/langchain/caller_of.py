"""Who makes a model call: the scope it stands in, and what only the call itself knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.instrument.langchain.naming import (
    MODEL_NODE,
    TOOLS_NODE,
    caller_labels,
    label_steps,
)
from tokenbeat.instrument.langchain.stack import UNKNOWN_MIDDLEWARE, middleware_around
from tokenbeat.usage.caller import UNATTRIBUTED, Caller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenbeat.instrument.langchain.framework_run import FrameworkRun
    from tokenbeat.instrument.langchain.standing import Standing

WRAPPED_TOOLS = "wrap_tool_call"
"""The middleware of a call beside the tools: which one of several, nobody says."""


def caller_of(
    standing: Standing, *, tags: Sequence[str], metadata: Mapping[str, Any]
) -> tuple[Caller, str | None]:
    """The path of a model call that starts now, and the agent that makes it."""
    parent, scope, _ = standing
    caller = UNATTRIBUTED if scope is None else scope.caller
    agent = None if scope is None else scope.agent
    if parent is not None and parent.node is not None and parent.node.scope is scope:
        middleware = _middleware(parent.node, metadata=metadata)
        if middleware is not None:
            caller = caller.child("middleware", middleware)
    if tags:
        labels = caller_labels(tags)
        if labels:
            inherited = () if parent is None else parent.labels
            fresh = [label for label in labels if label not in inherited]
            for step in label_steps(fresh, below=caller):
                caller = caller.child(step.type, step.name)
                agent = step.name if step.type in {"subagent", "lead_agent"} else agent
    return caller, agent


def _middleware(node: FrameworkRun, *, metadata: Mapping[str, Any]) -> str | None:
    """The middleware that makes a call in a node that an agent is made of, or None."""
    if node.name == MODEL_NODE:
        source = metadata.get("lc_source")
        if source and isinstance(source, str):
            return source
        middleware = middleware_around()
        if middleware == UNKNOWN_MIDDLEWARE and not node.is_agent:
            return None  # somebody's own graph with a node of that name
        return middleware
    return WRAPPED_TOOLS if node.name == TOOLS_NODE and node.is_agent else None
