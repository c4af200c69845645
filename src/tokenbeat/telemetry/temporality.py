"""Says at the start that delta temporality gives up what cumulative series promise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

_LOGGER = logging.getLogger(__name__)

_DELTA: Final = "DELTA"


def has_delta_reader(meter_provider: MeterProvider) -> bool:
    """Whether a reader of the provider exports our counters as differences.

    The SDK tells nobody in public which temporality its readers prefer (set by
    ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE``, or in code), so two attributes of it are
    read by name; where they are missing the answer is no.
    """
    readers: Any = getattr(meter_provider, "_metric_readers", ())
    for reader in tuple(readers):
        temporalities: Any = getattr(reader, "_instrument_class_temporality", {})
        for kind, temporality in dict(temporalities).items():
            if kind.__name__ in {"Counter", "_Counter"} and temporality.name == _DELTA:
                return True
    return False


def warn_of_delta(meter_provider: MeterProvider) -> None:
    """Log one line where counts may be lost on the way to a backend."""
    if has_delta_reader(meter_provider):
        _LOGGER.warning(
            "A metric reader exports differences (delta temporality): a failed export loses its "
            "counts for good, and sums over time in the backend are no longer exact. Set "
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative. Heartbeats and the "
            "journal are not affected."
        )
