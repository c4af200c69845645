"""The limits of a heartbeat. The JSON Schema repeats them, and a test compares the two."""

from __future__ import annotations

from typing import Final

from tokenbeat.usage.call import OPERATIONS, OTHER

MESSAGE_BYTES: Final = 65_536
"""A message's size on the wire, in bytes. Checked at the server's edge, before parsing."""

MAX_COUNT: Final = 2**63 - 1
"""The greatest number anywhere in a message: what a signed 64-bit column holds."""

MAX_CELLS: Final = 1_200
"""Cells of one incarnation. The sender folds at 1,000; the rest is for the cells ``other``."""

WIRE_OPERATIONS: Final[tuple[str, ...]] = (*OPERATIONS, OTHER)
"""Operations of a cell; ``other`` is the one cell that keys past the bound are folded into."""

MAX_CUTS: Final = 160
"""Cuts in one message: 60 by minute, 48 by hour, 30 by day and the last one, with some room."""

MAX_RUNS: Final = 1_000
"""Runs in one message; 64 KiB hold fewer."""

MAX_LABELS: Final = 32
"""Labels of a run."""

MAX_NONCES: Final = 1_000
"""Nonces that a message names: all since the last acknowledgement."""

MAX_REASONS: Final = 100
"""Kinds of anomalies or reconciliations in the books."""

NAME_CHARACTERS: Final = 256
"""Characters of a model, provider, agent, run, thread, user, host, …"""

CALLER_CHARACTERS: Final = 2_048
"""Characters of a caller's path: 16 steps of 64 with types and instances fit."""

LABEL_CHARACTERS: Final = 1_024
"""Characters of a label's value."""

MAX_USAGE_MODELS: Final = 2_000
"""Entries of AgentSpec's window; about 500 fit into 64 KiB."""

BEAT_INTERVAL_MS: Final = (1_000, 600_000)
"""The shortest and longest interval that a server can ask for, in milliseconds."""
