"""Instruments of one scope, made on one meter, each with its own attribute sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat import semconv
from tokenbeat.telemetry.attributes import AttributeSets
from tokenbeat.telemetry.definitions import COUNTERS, GAUGES, HISTOGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Meter

    from tokenbeat.telemetry.attributes import Attributes, AttributeValue

TOKEN_COUNTERS = (
    semconv.INFERENCE_INPUT_TOKENS,
    semconv.INFERENCE_OUTPUT_TOKENS,
    semconv.INFERENCE_CACHE_READ_TOKENS,
    semconv.INFERENCE_CACHE_WRITE_TOKENS,
    semconv.INFERENCE_REASONING_TOKENS,
)
"""Counters that only the latest vocabulary has."""


class GuardedCounter:
    """A counter that keeps its attribute sets bounded."""

    __slots__ = ("_counter", "sets")

    def __init__(self, name: str, *, meter: Meter) -> None:
        definition = COUNTERS[name]
        self._counter: Counter = meter.create_counter(
            name, unit=definition.unit, description=definition.description
        )
        self.sets = AttributeSets(name)

    def add(self, amount: int, attributes: Attributes) -> None:
        """Let the series of an admitted set rise by ``amount``, 0 or more."""
        self._counter.add(amount, attributes)


class GuardedHistogram:
    """A histogram that keeps its attribute sets bounded."""

    __slots__ = ("record", "sets")

    def __init__(self, name: str, *, meter: Meter) -> None:
        definition = HISTOGRAMS[name]
        histogram = meter.create_histogram(
            name,
            unit=definition.unit,
            description=definition.description,
            explicit_bucket_boundaries_advisory=definition.buckets,
        )
        self.sets = AttributeSets(name)
        self.record: Callable[[float, Attributes, Context], None] = histogram.record
        """Records a value under an admitted set, with the context's span as exemplar."""


class Instruments:
    """What one scope has: counters at once, gauges and histograms when they get a value.

    Synchronous instruments are safe to make inside a callback; observable ones are not.

    Args:
        meter: The scope's meter.
        latest: Whether the token counters of the latest vocabulary are wanted.
        names: The scope's counters; all of them unless it is a scope of the dead.
    """

    __slots__ = ("_gauges", "_histograms", "_meter", "counters")

    def __init__(self, meter: Meter, *, latest: bool, names: tuple[str, ...] = ()) -> None:
        self._meter = meter
        wanted = [name for name in names or COUNTERS if latest or name not in TOKEN_COUNTERS]
        self.counters = {name: GuardedCounter(name, meter=meter) for name in wanted}
        self._histograms: dict[str, GuardedHistogram] = {}
        self._gauges: dict[str, Gauge] = {}

    def histogram(self, name: str) -> GuardedHistogram:
        """The histogram of this name, made at first use."""
        histogram = self._histograms.get(name)
        if histogram is None:
            made = GuardedHistogram(name, meter=self._meter)
            histogram = self._histograms.setdefault(name, made)
        return histogram

    def set_gauge(self, name: str, value: float, attributes: dict[str, AttributeValue]) -> None:
        """Set a gauge."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, meter=self._meter)
        gauge.set(value, attributes)

    def renew_locks(self) -> None:
        """In a forked child: locks of ours may be held by threads that are gone."""
        for counter in self.counters.values():
            counter.sets.renew_lock()
        for histogram in self._histograms.values():
            histogram.sets.renew_lock()


class Gauge:
    """A gauge of the API, whose type has no public name."""

    __slots__ = ("set",)

    def __init__(self, name: str, *, meter: Meter) -> None:
        definition = GAUGES[name]
        self.set = meter.create_gauge(
            name, unit=definition.unit, description=definition.description
        ).set
