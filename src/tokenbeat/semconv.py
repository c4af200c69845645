"""Every telemetry name, once: metrics, attributes, buckets and span names.

Two vocabularies of the OpenTelemetry GenAI conventions are spoken, because dashboards in the field
still read the older one; both are in development and were renamed before. A rename changes this
file, the table under ``tests/telemetry/`` and ``docs/telemetry.md``, and nothing else.

Sources:
    latest: https://github.com/open-telemetry/semantic-conventions-genai (``main``, read up to
    commit 066d4a7f of autumn 2026); legacy: version 1.41 of
    https://github.com/open-telemetry/semantic-conventions. Names under ``tokenbeat.`` are ours.
"""

from __future__ import annotations

from typing import Final, Literal

Vocabulary = Literal["latest", "legacy", "both"]
"""What ``TOKENBEAT_SEMCONV`` may say."""

SCOPE_NAME: Final = "tokenbeat"
"""Instrumentation scope of everything that a living process says about itself."""
RECOVERED_SCOPE_NAME: Final = "tokenbeat.recovered"
"""Scope of the final counts of dead incarnations; it has attribute-set limits of its own."""
SCHEMA_URL_LATEST: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
"""Schema of our scopes under ``latest`` and ``both``."""
SCHEMA_URL_LEGACY: Final = "https://opentelemetry.io/schemas/1.41.0"
"""Schema of our scopes under ``legacy``."""

# --- Attributes of the conventions -------------------------------------------------------------

OPERATION_NAME: Final = "gen_ai.operation.name"
"""``chat``, ``text_completion``, ``embeddings``, ``generate_content``; on spans also
``invoke_agent``, ``invoke_workflow`` and ``execute_tool``."""
PROVIDER_NAME: Final = "gen_ai.provider.name"
"""Who served the model, such as ``openai``."""
REQUEST_MODEL: Final = "gen_ai.request.model"
"""The model as asked for; absent where unknown."""
RESPONSE_MODEL: Final = "gen_ai.response.model"
"""The model that answered; absent where unknown."""
AGENT_NAME: Final = "gen_ai.agent.name"
"""The agent inside the service that made the call; absent outside of agents."""
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
"""The workflow (a graph that is no agent) that ran."""
TOOL_NAME: Final = "gen_ai.tool.name"
"""The tool that was executed."""
TOOL_TYPE: Final = "gen_ai.tool.type"
"""Always ``function``: tools that run in this process."""
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
"""The model's id of the tool call; spans only."""
CONVERSATION_ID: Final = "gen_ai.conversation.id"
"""The thread that a run belongs to; spans only; hashed under ``TOKENBEAT_HASH_IDS``."""
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 a name
"""``text``, ``audio``, ``image``, or ``unknown`` where the provider gives no breakdown: the sum
over it is the total."""
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 a name
"""``input`` or ``output`` on the legacy histogram, and nothing else there: a third value would be
added twice by every dashboard that sums over it."""
RESPONSE_ID: Final = "gen_ai.response.id"
"""The provider's id of the response; spans only."""
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
"""Why generation stopped, one value per candidate; spans only."""
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds until the first chunk of a stream; spans only."""
REQUEST_STREAM: Final = "gen_ai.request.stream"
"""True where the response was streamed; spans only."""
SERVER_ADDRESS: Final = "server.address"
"""The host that served the request, without path or credentials; histograms and spans only."""
SERVER_PORT: Final = "server.port"
"""Its port; histograms and spans only."""
ERROR_TYPE: Final = "error.type"
"""The provider's error code or the exception's type; absent where the operation went well."""

USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
"""All input of a call, cached input included; spans only, like all of ``gen_ai.usage``."""
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
"""All output of a call, reasoning included."""
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
"""Part of input: read from the provider's cache."""
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
"""Part of input: written to the provider's cache."""
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
"""Part of output: reasoning that the caller does not see."""
USAGE_INPUT_TEXT: Final = "gen_ai.usage.text.input_tokens"
"""Part of input: text."""
USAGE_INPUT_AUDIO: Final = "gen_ai.usage.audio.input_tokens"
"""Part of input: audio."""
USAGE_INPUT_IMAGE: Final = "gen_ai.usage.image.input_tokens"
"""Part of input: images."""
USAGE_OUTPUT_TEXT: Final = "gen_ai.usage.text.output_tokens"
"""Part of output: text."""
USAGE_OUTPUT_AUDIO: Final = "gen_ai.usage.audio.output_tokens"
"""Part of output: audio."""
USAGE_OUTPUT_IMAGE: Final = "gen_ai.usage.image.output_tokens"
"""Part of output: images."""

# --- Attributes of ours ------------------------------------------------------------------------

CALLER: Final = "tokenbeat.caller"
"""The path to the call, such as ``lead_agent/subagent:researcher``; with instances
(``researcher#2``) on spans."""
CALLER_TYPE: Final = "tokenbeat.caller.type"
"""The last step's type: ``lead_agent``, ``subagent``, ``middleware``, …, or ``unattributed``."""
INCARNATION: Final = "tokenbeat.incarnation"
"""The process, or fork of one, that counted: on every series of ours, so none ever resets."""
RUN_ID: Final = "tokenbeat.run.id"
"""The run of a call or agent; spans only; hashed under ``TOKENBEAT_HASH_IDS``."""
OUTCOME: Final = "tokenbeat.outcome"
"""How a call ended: ``ok``, ``error``, ``cancelled``, ``abandoned`` or ``unfinished``."""
REASON: Final = "tokenbeat.reason"
"""Why something was counted as an anomaly or left to reconciliation."""
PLACE: Final = "tokenbeat.place"
"""Where an error of ours was kept from the application."""
CACHED_RESPONSE: Final = "tokenbeat.cached_response"
"""True on the span of a call that a local response cache answered: nobody billed it, so it carries
no ``gen_ai.usage``."""
PARTIAL_USAGE: Final = "tokenbeat.usage.partial"
"""True on the span of a call whose usage was told only in part."""
UNCLASSIFIED_USAGE: Final = "tokenbeat.usage.unclassified_tokens"
"""On a call's span: what its reported total has beyond input and output; on an agent's span the sum
of its own calls. Also the counter of the same tokens."""
AGENT_USAGE_INPUT: Final = "tokenbeat.usage.input_tokens"
"""On an agent's or workflow's span: input of its own calls; never under ``gen_ai.usage``, which a
reader would add twice."""
AGENT_USAGE_OUTPUT: Final = "tokenbeat.usage.output_tokens"
"""On an agent's or workflow's span: output of its own calls."""
AGENT_USAGE_CACHE_READ: Final = "tokenbeat.usage.cache_read.input_tokens"
"""On an agent's or workflow's span: cache reads of its own calls."""
AGENT_USAGE_CACHE_WRITE: Final = "tokenbeat.usage.cache_write.input_tokens"
"""On an agent's or workflow's span: cache writes of its own calls."""
AGENT_USAGE_REASONING: Final = "tokenbeat.usage.reasoning.output_tokens"
"""On an agent's or workflow's span: reasoning of its own calls."""
AGENT_INFERENCE_CALLS: Final = "tokenbeat.usage.calls"
"""On an agent's or workflow's span: its own finished calls, local cache hits left out."""

# --- Metrics, latest vocabulary ----------------------------------------------------------------

INFERENCE_INPUT_TOKENS: Final = "gen_ai.client.inference.usage.input_tokens"
"""Counter, ``{token}``: billed input by modality."""
INFERENCE_OUTPUT_TOKENS: Final = "gen_ai.client.inference.usage.output_tokens"
"""Counter, ``{token}``: billed output by modality."""
INFERENCE_CACHE_READ_TOKENS: Final = "gen_ai.client.inference.usage.cache_read.input_tokens"
"""Counter, ``{token}``: the part of input that was read from the provider's cache."""
INFERENCE_CACHE_WRITE_TOKENS: Final = "gen_ai.client.inference.usage.cache_write.input_tokens"
"""Counter, ``{token}``: the part of input that was written to the provider's cache."""
INFERENCE_REASONING_TOKENS: Final = "gen_ai.client.inference.usage.reasoning.output_tokens"
"""Counter, ``{token}``: the part of output that was reasoning."""
OPERATION_INPUT_TOKENS: Final = "gen_ai.client.inference.operation.input_tokens"
"""Histogram, ``{token}``: input of one call."""
OPERATION_OUTPUT_TOKENS: Final = "gen_ai.client.inference.operation.output_tokens"
"""Histogram, ``{token}``: output of one call."""
INFERENCE_DURATION: Final = "gen_ai.client.inference.duration"
"""Histogram, ``s``: duration of one inference."""
INFERENCE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
"""Histogram, ``s``: wait for a stream's first chunk."""
INFERENCE_TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.inference.time_per_output_chunk"
"""Histogram, ``s``: mean time between the chunks of one stream, one value per stream."""
INVOKE_AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
"""Histogram, ``s``: one invocation of an agent."""
INVOKE_AGENT_INFERENCE_CALLS: Final = "gen_ai.invoke_agent.inference_calls"
"""Histogram, ``{inference_call}``: an invocation's own calls; sub-agents count their own."""
INVOKE_AGENT_TOOL_CALLS: Final = "gen_ai.invoke_agent.tool_calls"
"""Histogram, ``{tool_call}``: tools that an invocation executed itself."""
INVOKE_WORKFLOW_DURATION: Final = "gen_ai.invoke_workflow.duration"
"""Histogram, ``s``: one run of a workflow."""
EXECUTE_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
"""Histogram, ``s``: one execution of a tool."""

# --- Metrics, legacy vocabulary ----------------------------------------------------------------

LEGACY_TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 a name
"""Histogram, ``{token}``: tokens of one call by ``gen_ai.token.type``."""
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
"""Histogram, ``s``: duration of one operation. Under ``latest`` of embeddings alone, which are no
inference; under ``legacy`` of every operation."""
LEGACY_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
"""Histogram, ``s``: as ``INFERENCE_TIME_TO_FIRST_CHUNK``."""
LEGACY_TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
"""Histogram, ``s``: as ``INFERENCE_TIME_PER_OUTPUT_CHUNK``."""

# --- Metrics about ourselves -------------------------------------------------------------------

CALLS: Final = "tokenbeat.calls"
"""Counter, ``{call}``: finished calls by outcome."""
CALLS_WITH_USAGE: Final = "tokenbeat.calls.with_usage"
"""Counter, ``{call}``: finished calls whose usage is known."""
CALLS_CACHED: Final = "tokenbeat.calls.cached"
"""Counter, ``{call}``: calls that a local response cache answered; nobody billed them."""
CALLS_ATTEMPTS: Final = "tokenbeat.calls.attempts"
"""Counter, ``{attempt}``: finished calls and failed attempts."""
CALLS_UNATTRIBUTED: Final = "tokenbeat.calls.unattributed"
"""Counter, ``{call}``: finished calls without any known caller."""
CALLS_OPEN: Final = "tokenbeat.calls.open"
"""Gauge, ``{call}``: calls that have started and not ended."""
UNCLASSIFIED_TOKENS: Final = UNCLASSIFIED_USAGE
"""Counter, ``{token}``: billed tokens that are neither input nor output by the provider's word."""
CACHED_RESPONSE_TOKENS: Final = "tokenbeat.usage.cached_response_tokens"
"""Counter, ``{token}``: tokens of cached responses by ``gen_ai.token.type``, billed by nobody."""
LEDGER_REVISION: Final = "tokenbeat.ledger.revision"
"""Gauge, ``{revision}``: the last change of the books that this collection contains."""
RECONCILIATION: Final = "tokenbeat.reconciliation"
"""Counter, ``{token}``: tokens told by some source and not entered, by reason."""
ANOMALIES: Final = "tokenbeat.anomalies"
"""Counter, ``{anomaly}``: impossible or absurd things told by a source, by reason."""
CELLS_FOLDED: Final = "tokenbeat.cells.folded"
"""Counter, ``{cell}``: cells that were folded into caller ``other``."""
HEARTBEAT_SENT: Final = "tokenbeat.heartbeat.sent"
"""Counter, ``{heartbeat}``: acknowledged heartbeats."""
HEARTBEAT_FAILED: Final = "tokenbeat.heartbeat.failed"
"""Counter, ``{heartbeat}``: attempts to send that were not acknowledged."""
HEARTBEAT_UNDELIVERED_TOKENS: Final = "tokenbeat.heartbeat.undelivered_tokens"
"""Gauge, ``{token}``: counted and not yet acknowledged by the control plane."""
HEARTBEAT_AGE: Final = "tokenbeat.heartbeat.age"
"""Gauge, ``s``: since the last acknowledged heartbeat, or since the start."""
JOURNAL_BYTES: Final = "tokenbeat.journal.bytes"
"""Counter, ``By``: written to the journal."""
JOURNAL_ERRORS: Final = "tokenbeat.journal.errors"
"""Counter, ``{error}``: writes to the journal that failed."""
GUARDED_ERRORS: Final = "tokenbeat.guarded_errors"
"""Counter, ``{error}``: errors of ours that were kept from the application, by place."""

# --- Buckets -----------------------------------------------------------------------------------

TOKEN_BUCKETS: Final = tuple(4**n for n in range(14))
"""1 … 67,108,864 tokens, each four times the one before."""
DURATION_BUCKETS: Final = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
"""Seconds, for calls and tools."""
AGENT_BUCKETS: Final = (
    *(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4),
    *(12.8, 25.6, 51.2, 102.4, 204.8, 409.6),
)
"""Seconds, for invocations of agents."""
WORKFLOW_BUCKETS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
"""Seconds, for workflows."""
COUNT_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
"""Calls or tools of one invocation."""

# --- Operations that are no calls --------------------------------------------------------------

INVOKE_AGENT: Final = "invoke_agent"
"""``gen_ai.operation.name`` of an agent's span."""
INVOKE_WORKFLOW: Final = "invoke_workflow"
"""``gen_ai.operation.name`` of a workflow's span."""
EXECUTE_TOOL: Final = "execute_tool"
"""``gen_ai.operation.name`` of a tool's span."""
