"""Wires one agent process: the books to their journal, telemetry and heartbeats."""

from __future__ import annotations

from tokenbeat.agent.starting import flush, pre_instrument, start, stop

__all__ = ["flush", "pre_instrument", "start", "stop"]
