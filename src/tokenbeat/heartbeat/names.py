r"""Names on the wire: bounded, and without characters that a database or a log would choke on.

Example:
    ``wire_name("gpt-4o")`` is ``"gpt-4o"``; ``wire_name("a\x00b")`` is ``"a�b~59e3abf2"``: cleaned,
    with a hash of the original, so that two names which differ only in what was cleaned away stay
    two names (and two cells).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from tokenbeat.heartbeat.limits import NAME_CHARACTERS

FORBIDDEN_PATTERN: Final = r"[\u0000-\u001f\u007f\ud800-\udfff]"
"""Control characters and lone surrogates, as the JSON Schema says it."""

FORBIDDEN: Final = re.compile(FORBIDDEN_PATTERN)

SERVICE_PATTERN: Final = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""What AgentSpec takes as an agent's name."""

INCARNATION_PATTERN: Final = "^[a-z2-7]{16,64}$"
"""80 or more random bits in lower-case base32."""

INCARNATION_HEADER: Final = "Tokenbeat-Incarnation"
"""On every request, also in AgentSpec mode, so that a control plane of ours behind an answer of
somebody else knows that ``usage`` will come once more as cells and must not be counted."""

_HASH_CHARACTERS: Final = 8
_SERVICE_CHARACTERS: Final = 63
_FOREIGN_TO_SERVICES: Final = re.compile(r"[^a-z0-9]+")


def _hash(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]


def wire_name(name: str, *, characters: int = NAME_CHARACTERS) -> str:
    """``name`` as it may stand in a message: at most ``characters`` long, nothing forbidden."""
    if len(name) <= characters and FORBIDDEN.search(name) is None:
        return name
    clean = FORBIDDEN.sub("\ufffd", name[: characters - _HASH_CHARACTERS - 1])
    return f"{clean}~{_hash(name)}"


def service_name(name: str) -> str:
    """``service.name`` as AgentSpec allows it: 1 to 63 of ``[a-z0-9-]``, no hyphen at an edge.

    Lowered; anything else becomes a hyphen; what is too long ends in a hash; what is left empty is
    ``unknown-service``.

    Example:
        ``"Research_Agent (EU)"`` is ``"research-agent-eu"``.
    """
    clean = _FOREIGN_TO_SERVICES.sub("-", name.lower()).strip("-")
    if len(clean) > _SERVICE_CHARACTERS:
        kept = clean[: _SERVICE_CHARACTERS - _HASH_CHARACTERS - 1].rstrip("-")
        return f"{kept}-{_hash(name)}"
    return clean or "unknown-service"
