"""Sets the OpenTelemetry SDK up where nobody else has.

``opentelemetry-instrument`` without a distro sets no SDK up and says nothing, so an empty
environment with Tokenbeat alone would export nothing. A distro or configurator of our own would
displace another's; this runs after all of them and only where they left the providers unset.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol, cast

from opentelemetry import metrics, trace

from tokenbeat.settings import exporters_named

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGER = logging.getLogger(__name__)
_PROXIES: Final = ("ProxyTracerProvider", "_ProxyMeterProvider")


class Configurator(Protocol):
    """What is used of the SDK's own."""

    def configure(self) -> None:
        """Sets the SDK up from the environment."""
        ...


def sdk_is_set_up() -> bool:
    """Whether anybody has put a provider of traces or metrics in place."""
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    # By name, because the meter's proxy has no public one.
    return any(type(provider).__name__ not in _PROXIES for provider in providers)


def set_up_sdk(environ: Mapping[str, str] | None = None) -> bool:
    """Sets the SDK up as its environment variables say, unless somebody has.

    Args:
        environ: The variables; those of the process where none are given.

    Returns:
        Whether it was set up here. Without an exporter in ``OTEL_TRACES_EXPORTER`` or
        ``OTEL_METRICS_EXPORTER`` nothing is: nobody asked for one.
    """
    if sdk_is_set_up() or not exporters_named(environ):
        return False
    # The documented base of every distro; its module is underscored all the same.
    from opentelemetry.sdk._configuration import (  # noqa: PLC0415 SDK users pay for it alone
        _OTelSDKConfigurator,  # pyright: ignore[reportPrivateUsage]
    )

    class SdkFromEnvironment(_OTelSDKConfigurator):
        """The SDK's own configuration, under a name of ours."""

    try:
        configurator = cast("Configurator", SdkFromEnvironment())  # type: ignore[no-untyped-call]  # the SDK has no types there
        configurator.configure()
    except (RuntimeError, ImportError, ValueError) as error:
        # An exporter that cannot be loaded is the user's to mend, and must not stop the agent.
        _LOGGER.warning("The OpenTelemetry SDK could not be set up: %s", error)
        return False
    return True


def flush_sdk(timeout_ms: int = 2_000) -> None:
    """Exports what is waiting in the SDK, as its own exit would have done.

    Args:
        timeout_ms: The longest wait for metrics, and again for spans, in milliseconds.
    """
    for provider in (metrics.get_meter_provider(), trace.get_tracer_provider()):
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            flush(timeout_ms)
