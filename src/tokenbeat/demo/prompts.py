"""How the research agent's requests begin: by this the model server knows who asks."""

from __future__ import annotations

from typing import Final

LEAD: Final = "You are the lead."
RESEARCHER: Final = "You are the researcher."
WRITER: Final = "You are the writer."
TITLE: Final = "Give this conversation a title."
