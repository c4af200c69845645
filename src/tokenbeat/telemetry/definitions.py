"""Unit and description of every metric. A description of ours says what its reader should do."""

from __future__ import annotations

from typing import Final, NamedTuple

from tokenbeat import semconv


class Definition(NamedTuple):
    """What a metric is made of beside its kind."""

    unit: str
    description: str
    buckets: tuple[float, ...] = ()


COUNTERS: Final[dict[str, Definition]] = {
    semconv.INFERENCE_INPUT_TOKENS: Definition(
        "{token}", "Billed input tokens, cached input included. Sum over everything for a bill."
    ),
    semconv.INFERENCE_OUTPUT_TOKENS: Definition(
        "{token}", "Billed output tokens, reasoning included. Sum over everything for a bill."
    ),
    semconv.INFERENCE_CACHE_READ_TOKENS: Definition(
        "{token}", "Part of the input tokens: read from the provider's cache. Never add to input."
    ),
    semconv.INFERENCE_CACHE_WRITE_TOKENS: Definition(
        "{token}", "Part of the input tokens: written to the provider's cache. Never add to input."
    ),
    semconv.INFERENCE_REASONING_TOKENS: Definition(
        "{token}", "Part of the output tokens: reasoning. Never add to output."
    ),
    semconv.CALLS: Definition(
        "{call}", "Finished calls by outcome. Watch the share of error, abandoned and unfinished."
    ),
    semconv.CALLS_WITH_USAGE: Definition(
        "{call}",
        "Finished calls whose usage is known. If tokenbeat.calls less tokenbeat.calls.cached is "
        "greater, tokens are missing: ask the provider for usage (stream_options.include_usage).",
    ),
    semconv.CALLS_CACHED: Definition(
        "{call}", "Calls answered by a local response cache. Nobody billed them; leave them out."
    ),
    semconv.CALLS_ATTEMPTS: Definition(
        "{attempt}",
        "Finished calls and failed attempts. If it leaves tokenbeat.calls behind, see to retries.",
    ),
    semconv.CALLS_UNATTRIBUTED: Definition(
        "{call}", "Finished calls without a known caller. Name them with tokenbeat.caller(...)."
    ),
    semconv.UNCLASSIFIED_TOKENS: Definition(
        "{token}",
        "Billed tokens that are neither input nor output by the provider's word. Add to totals.",
    ),
    semconv.CACHED_RESPONSE_TOKENS: Definition(
        "{token}", "Tokens of responses from a local cache. Shown as savings; never add to a bill."
    ),
    semconv.RECONCILIATION: Definition(
        "{token}",
        "Tokens that some source told and that were not entered, by reason. Look at the reason "
        "before trusting the total of that source.",
    ),
    semconv.ANOMALIES: Definition(
        "{anomaly}",
        "Impossible or absurd reports, by reason. Each was left out: tell us with its reason.",
    ),
    semconv.CELLS_FOLDED: Definition(
        "{cell}",
        "Keys counted under caller other: there are too many. Use fewer, stable caller names.",
    ),
    semconv.HEARTBEAT_SENT: Definition(
        "{heartbeat}",
        "Acknowledged heartbeats. If it stands still see tokenbeat.heartbeat.failed.",
    ),
    semconv.HEARTBEAT_FAILED: Definition(
        "{heartbeat}",
        "Heartbeats not acknowledged. Nothing is lost; check the control plane URL.",
    ),
    semconv.JOURNAL_BYTES: Definition("By", "Bytes written to the journal. Size the disk by it."),
    semconv.JOURNAL_ERRORS: Definition(
        "{error}",
        "Failed writes to the journal. While it rises, a crash loses counts: free the disk.",
    ),
    semconv.GUARDED_ERRORS: Definition(
        "{error}",
        "Errors of Tokenbeat that were kept from the application, by place. Please report them.",
    ),
}

GAUGES: Final[dict[str, Definition]] = {
    semconv.CALLS_OPEN: Definition(
        "{call}", "Calls started and not ended. If it only rises, calls are abandoned without end."
    ),
    semconv.LEDGER_REVISION: Definition(
        "{revision}", "The last change that this collection contains. Compare at equal revisions."
    ),
    semconv.HEARTBEAT_UNDELIVERED_TOKENS: Definition(
        "{token}", "Counted and not yet acknowledged. If it stays above zero, the link is down."
    ),
    semconv.HEARTBEAT_AGE: Definition(
        "s", "Since the last acknowledged heartbeat. Alert above three intervals."
    ),
}

_TOKENS = semconv.TOKEN_BUCKETS
_DURATION = semconv.DURATION_BUCKETS

HISTOGRAMS: Final[dict[str, Definition]] = {
    semconv.LEGACY_TOKEN_USAGE: Definition(
        "{token}",
        "Tokens of one call. For totals take the counters: these do not survive a kill.",
        _TOKENS,
    ),
    semconv.OPERATION_INPUT_TOKENS: Definition("{token}", "Input tokens of one call.", _TOKENS),
    semconv.OPERATION_OUTPUT_TOKENS: Definition("{token}", "Output tokens of one call.", _TOKENS),
    semconv.INFERENCE_DURATION: Definition("s", "Duration of one inference.", _DURATION),
    semconv.INFERENCE_TIME_TO_FIRST_CHUNK: Definition(
        "s", "Wait for the first chunk of a stream.", _DURATION
    ),
    semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK: Definition(
        "s", "Mean time between the chunks of one stream.", _DURATION
    ),
    semconv.OPERATION_DURATION: Definition("s", "Duration of one operation.", _DURATION),
    semconv.LEGACY_TIME_TO_FIRST_CHUNK: Definition(
        "s", "Wait for the first chunk of a stream.", _DURATION
    ),
    semconv.LEGACY_TIME_PER_OUTPUT_CHUNK: Definition(
        "s", "Mean time between the chunks of one stream.", _DURATION
    ),
    semconv.INVOKE_AGENT_DURATION: Definition(
        "s", "Duration of one invocation of an agent.", semconv.AGENT_BUCKETS
    ),
    semconv.INVOKE_AGENT_INFERENCE_CALLS: Definition(
        "{inference_call}", "Calls that an invocation made itself.", semconv.COUNT_BUCKETS
    ),
    semconv.INVOKE_AGENT_TOOL_CALLS: Definition(
        "{tool_call}", "Tools that an invocation executed itself.", semconv.COUNT_BUCKETS
    ),
    semconv.INVOKE_WORKFLOW_DURATION: Definition(
        "s", "Duration of one run of a workflow.", semconv.WORKFLOW_BUCKETS
    ),
    semconv.EXECUTE_TOOL_DURATION: Definition(
        "s", "Duration of one execution of a tool.", _DURATION
    ),
}
