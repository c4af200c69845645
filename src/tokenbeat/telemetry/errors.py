"""Errors of this folder, a branch of `tokenbeat.errors`.

TokenbeatError
└── UnknownTelemetryOption     a vocabulary or group of histograms that does not exist
"""

from __future__ import annotations

from tokenbeat.errors import TokenbeatError


class UnknownTelemetryOption(TokenbeatError):
    """Telemetry was asked for something that it does not have."""

    def __init__(self, *, option: str, value: str) -> None:
        super().__init__(f"{value!r} is no value of the telemetry option {option}")
        self.option = option
        self.value = value
