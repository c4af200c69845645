"""Attributes of series: built once for each cell, and never more sets than the SDK keeps apart.

The SDK folds what is past 2,000 attribute sets of an instrument into one point without an
incarnation, whose value then means nothing. So we fold earlier, and into a caller that says so.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from tokenbeat import semconv
from tokenbeat.usage.call import OTHER, CellKey
from tokenbeat.usage.caller import caller_type

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGER = logging.getLogger(__name__)

AttributeValue = str | int | bool
Attributes = dict[str, AttributeValue]

MOST_SETS: Final = 1_800
"""Sets of one instrument before a new one is folded into caller ``other``."""
MOST_SETS_WITH_OTHER: Final = 1_900
"""Sets of one instrument before a new one keeps nothing but what is closed (outcome, modality)."""

_OTHER_ERROR = "_OTHER"
_CLOSED = frozenset(
    {semconv.OUTCOME, semconv.TOKEN_MODALITY, semconv.TOKEN_TYPE, semconv.INCARNATION}
)
_NAMES = (semconv.AGENT_NAME, semconv.WORKFLOW_NAME, semconv.TOOL_NAME)


def cell_attributes(key: CellKey, *, incarnation: str | None) -> Attributes:
    """A cell's key as attributes; what is unknown is absent, never empty.

    Args:
        key: The cell.
        incarnation: Whose cell, or None where series do not name it.
    """
    attributes: Attributes = {
        semconv.OPERATION_NAME: key.operation,
        semconv.PROVIDER_NAME: key.provider,
        semconv.CALLER: key.caller,
        semconv.CALLER_TYPE: caller_type(key.caller),
    }
    if key.request_model is not None:
        attributes[semconv.REQUEST_MODEL] = key.request_model
    if key.response_model is not None:
        attributes[semconv.RESPONSE_MODEL] = key.response_model
    if key.agent is not None:
        attributes[semconv.AGENT_NAME] = key.agent
    if incarnation is not None:
        attributes[semconv.INCARNATION] = incarnation
    return attributes


class AttributeSets:
    """The attribute sets of one instrument: the first ones as they are, later ones folded.

    What a set is mapped to never changes: a set that is in stays in.

    Args:
        instrument: Its name, for the one line in the log.
        most: Sets before folding begins.
        most_with_other: Sets before folding becomes total.
    """

    __slots__ = ("_instrument", "_known", "_lock", "_most", "_most_with_other", "folded")

    def __init__(
        self,
        instrument: str,
        *,
        most: int = MOST_SETS,
        most_with_other: int = MOST_SETS_WITH_OTHER,
    ) -> None:
        self._instrument = instrument
        self._most = most
        self._most_with_other = most_with_other
        self._known: set[frozenset[tuple[str, AttributeValue]]] = set()
        self.folded = 0
        self.renew_lock()

    def renew_lock(self) -> None:
        """In a forked child the lock may be held by a thread that is gone."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, attributes: Attributes) -> Attributes:
        """The set that a value with these attributes is recorded under: these, or a folded one."""
        with self._lock:
            identity = frozenset(attributes.items())
            if identity in self._known or len(self._known) < self._most:
                self._known.add(identity)
                return attributes
            self.folded += 1
            first = self.folded == 1
            folded = _with_other(attributes)
            identity = frozenset(folded.items())
            if identity not in self._known and len(self._known) >= self._most_with_other:
                folded = _with_nothing_open(folded)
                identity = frozenset(folded.items())
            self._known.add(identity)
        if first:
            _LOGGER.warning(
                "%s has more than %d attribute sets; new ones are counted under %s=%s",
                self._instrument,
                self._most,
                semconv.CALLER,
                OTHER,
            )
        return folded


def _with_other(attributes: Mapping[str, AttributeValue]) -> Attributes:
    """The set of caller ``other``: models and provider stay, what can be anything goes."""
    folded = dict(attributes)
    for name in (semconv.SERVER_ADDRESS, semconv.SERVER_PORT):
        folded.pop(name, None)
    if semconv.ERROR_TYPE in folded:
        folded[semconv.ERROR_TYPE] = _OTHER_ERROR
    if semconv.CALLER in folded:
        folded[semconv.CALLER] = folded[semconv.CALLER_TYPE] = OTHER
        folded.pop(semconv.AGENT_NAME, None)
    for name in _NAMES:
        if name in folded:
            folded[name] = OTHER
    return folded


def _with_nothing_open(folded: Mapping[str, AttributeValue]) -> Attributes:
    """Only attributes with a closed list of values keep theirs."""
    closed: Attributes = {}
    for name, value in folded.items():
        if name in _CLOSED:
            closed[name] = value
        elif name not in {semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, semconv.ERROR_TYPE}:
            closed[name] = OTHER
        elif name == semconv.ERROR_TYPE:
            closed[name] = _OTHER_ERROR
    return closed
