"""What a report can be split by.

A dimension says which columns of the tables it needs and how it reads a value from them: ``model``
is made of the requested and the answered name, ``callerType`` of the caller's path. So SQL adds up
as far as it can, and what only Python knows (families of models) is added up from few rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tokenbeat.control_plane.report.errors import BadParameter
from tokenbeat.usage.call import CellKey, rolled_up_model
from tokenbeat.usage.caller import caller_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Column = Literal[
    "service",
    "incarnation",
    "run",
    "operation",
    "provider",
    "request_model",
    "response_model",
    "agent",
    "caller",
]
"""A column that SQL can group by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One way to split a report."""

    name: str
    """As it stands in ``by=`` and in the rows."""
    columns: frozenset[Column]
    read: Callable[[Mapping[str, str | None]], str | None]
    """The value of a row; None where the provider or the agent said nothing."""


def _plain(name: str, column: Column) -> Dimension:
    return Dimension(name=name, columns=frozenset({column}), read=lambda facts: facts[column])


def _model(facts: Mapping[str, str | None]) -> str:
    return rolled_up_model(
        CellKey(
            operation="",
            provider="",
            request_model=facts["request_model"],
            response_model=facts["response_model"],
            agent=None,
            caller="",
        )
    )


def _caller_type(facts: Mapping[str, str | None]) -> str:
    return caller_type(facts["caller"] or "")


_ALL: Final = (
    _plain("service", "service"),
    _plain("agent", "agent"),
    Dimension(name="model", columns=frozenset({"request_model", "response_model"}), read=_model),
    _plain("requestModel", "request_model"),
    _plain("responseModel", "response_model"),
    _plain("provider", "provider"),
    _plain("operation", "operation"),
    _plain("caller", "caller"),
    Dimension(name="callerType", columns=frozenset({"caller"}), read=_caller_type),
    _plain("incarnation", "incarnation"),
    _plain("run", "run"),
)

DIMENSIONS: Final[dict[str, Dimension]] = {dimension.name: dimension for dimension in _ALL}
"""Every dimension by its name."""

COLUMNS: Final[tuple[Column, ...]] = (
    "service",
    "incarnation",
    "run",
    "operation",
    "provider",
    "request_model",
    "response_model",
    "agent",
    "caller",
)


def read_by(text: str) -> tuple[Dimension, ...]:
    """The dimensions of ``by=model,caller``, in that order.

    Raises:
        BadParameter: A name is none of `DIMENSIONS`, or stands twice.
    """
    chosen: list[Dimension] = []
    for name in text.split(","):
        dimension = DIMENSIONS.get(name.strip())
        if dimension is None:
            raise BadParameter(
                parameter="by", reason=f"{name[:64]!r} is none of {', '.join(DIMENSIONS)}"
            )
        if dimension in chosen:
            raise BadParameter(parameter="by", reason=f"{dimension.name} stands twice")
        chosen.append(dimension)
    return tuple(chosen)


def columns_of(by: Iterable[Dimension], *, also: Iterable[Column] = ()) -> frozenset[Column]:
    """All columns that these dimensions need, and some more."""
    columns: set[Column] = set(also)
    for dimension in by:
        columns |= dimension.columns
    return frozenset(columns)
