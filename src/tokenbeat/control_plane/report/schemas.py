"""The shapes of the answers, for the OpenAPI document; ``figures`` and the services make them.

Names are those of the wire. Moments are ISO 8601 in UTC with ``Z``.
"""
# ruff: noqa: N815  fields are named as on the wire

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Calls(BaseModel):
    """Finished calls by outcome, and what is known of them."""

    ok: int
    error: int
    cancelled: int
    abandoned: int
    unfinished: int
    withUsage: int
    partial: int = Field(description="Calls whose usage is a lower bound.")
    cached: int = Field(description="Answers of a local cache; they billed nothing.")
    items: int
    finished: int = Field(description="All outcomes together.")
    unknownUsage: int = Field(description="Finished calls that told no usage.")


class Tokens(BaseModel):
    """Billed tokens. Cache parts are inside input, reasoning is inside output."""

    input: int
    output: int
    cacheRead: int
    cacheWrite: int
    cacheWrite5m: int
    cacheWrite1h: int
    reasoning: int
    unclassified: int
    inputText: int
    inputAudio: int
    inputImage: int
    outputText: int
    outputAudio: int
    outputImage: int
    cachedInput: int
    cachedOutput: int
    cachedUnclassified: int
    total: int = Field(description="Input + output + unclassified.")


class Figures(BaseModel):
    """What was counted."""

    calls: Calls
    failedAttempts: int = Field(description="Requests that failed without usage; no calls.")
    tokens: Tokens


class Row(Figures):
    """One row: its dimensions by name, and what was counted."""

    model_config = ConfigDict(extra="allow")


class Unattributed(BaseModel):
    """What no caller could be named for; inside the totals."""

    calls: int
    tokens: int


class UsageReport(BaseModel):
    """Totals and their split. Rows and ``rest`` add up to the totals."""

    service: str | None = None
    by: list[str]
    from_: str | None = Field(alias="from", description="Start of the first minute used.")
    to: str | None = Field(description="End of the last minute used.")
    at: str = Field(description="When this was read.")
    since: str | None = Field(description="When the first process began whose counts are here.")
    lastSeen: str | None = Field(description="When the latest beat was accepted.")
    revision: int = Field(description="Rises with everything that changes a report.")
    totals: Figures
    unattributed: Unattributed
    rowCount: int = Field(description="Rows in all, also those beyond limit and offset.")
    rows: list[Row]
    rest: Figures = Field(description="What the rows that are not listed counted.")


class Point(Row):
    """One bucket and one value of each dimension."""

    at: str = Field(description="End of the bucket.")


class SeriesReport(BaseModel):
    """What happened in each bucket; a bucket without calls has no point."""

    bucket: Literal["minute", "hour", "day"]
    by: list[str]
    from_: str = Field(alias="from")
    to: str
    at: str
    revision: int
    points: list[Point]


class AgentSpecModel(BaseModel):
    """One model of a window; further fields are kept as the agent sent them."""

    model_config = ConfigDict(extra="allow")

    modelId: str
    promptTokens: int | None = None
    completionTokens: int | None = None
    totalTokens: int
    callCount: int


class AgentSpecUsage(BaseModel):
    """The latest window, in AgentSpec's words."""

    windowStartedAt: str | None
    models: list[AgentSpecModel]
    totalTokens: int
    totalCalls: int
    receivedAt: str | None


class Agent(BaseModel):
    """A service: AgentSpec's fields, and what it spent."""

    agentId: str
    agentName: str
    runtime: str
    phase: str
    grade: str | None
    score: int | None
    lastSeen: str | None
    stale: bool = Field(description="No beat for more than three of its intervals.")
    state: Literal["live", "silent", "ended", "never"]
    originalName: str = Field(description="Its name as it says it itself.")
    namespace: str | None
    intervalMs: int
    incarnations: int = Field(description="Processes and forks that ever reported.")
    running: int = Field(description="Those that have not said that they end.")
    open: int = Field(description="Calls under way.")
    undeliveredCalls: int = Field(description="Calls counted at the last beat, not here yet.")
    undeliveredTokens: int = Field(description="Tokens of those calls: at most so many.")
    totals: Figures


class RunSummary(Figures):
    """A run over all processes that took part in it."""

    run: str
    services: list[str]
    thread: str | None
    rootAgent: str | None
    user: str | None
    labels: dict[str, Any]
    status: str = Field(description="``open``, or how it ended.")
    startedAt: str
    endedAt: str | None
    late: bool = Field(description="Usage was added after it had ended.")


class RunList(BaseModel):
    """Runs, the latest started first."""

    service: str | None
    at: str
    revision: int
    runs: list[RunSummary]


class RunPart(BaseModel):
    """What one process told of a run."""

    service: str
    incarnation: str
    part: int
    status: str
    startedAt: str
    endedAt: str | None
    late: bool


class RunReport(BaseModel):
    """One run, split by caller (with instances) and model."""

    run: str
    services: list[str]
    thread: str | None
    rootAgent: str | None
    user: str | None
    labels: dict[str, Any]
    status: str
    startedAt: str
    endedAt: str | None
    late: bool
    by: list[str]
    at: str
    revision: int
    totals: Figures
    rows: list[Row]
    parts: list[RunPart]
