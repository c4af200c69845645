"""The books as OpenTelemetry sees them: metrics that are fed from them, and spans.

What belongs here: names and attributes on their way out, instruments, the feeding of counters,
spans of calls, agents and tools. What never does: a decision about a count, HTTP, the name of a
framework or a provider.
"""

from tokenbeat.telemetry.books import Books, BookSet, RecoveredBooks
from tokenbeat.telemetry.figures import HeartbeatFigures, HeartbeatSource
from tokenbeat.telemetry.install import Installed, install
from tokenbeat.telemetry.metrics import LedgerMetrics
from tokenbeat.telemetry.options import TelemetryOptions
from tokenbeat.telemetry.spans import SpanObserver

__all__ = [
    "BookSet",
    "Books",
    "HeartbeatFigures",
    "HeartbeatSource",
    "Installed",
    "LedgerMetrics",
    "RecoveredBooks",
    "SpanObserver",
    "TelemetryOptions",
    "install",
]
