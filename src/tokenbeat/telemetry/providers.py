"""What stays on a meter provider once something of ours was installed on it.

The SDK cannot unregister a callback: asked again for an instrument it returns the first one and
drops the new callback without a word. So the callback is made once for a provider and asks who is
installed; and what was fed is remembered here: a second installation does not feed it again.
"""

from __future__ import annotations

import threading
from importlib import metadata
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from tokenbeat import semconv
from tokenbeat.guard import contained
from tokenbeat.telemetry.definitions import GAUGES
from tokenbeat.telemetry.feed import RECOVERED_COUNTERS, IncarnationFeed
from tokenbeat.telemetry.instruments import Instruments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

    from tokenbeat.telemetry.options import TelemetryOptions

_COLLECT: Final = contained("telemetry.collect")


def distribution_version() -> str:
    """The version of the installed package, for our scopes."""
    try:
        return metadata.version("tokenbeat")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


class Collected(Protocol):
    """Whoever is installed on a provider."""

    def collect(self) -> Sequence[Observation]:
        """Feed every counter; answer with the open calls."""
        ...

    def give_way(self) -> None:
        """Somebody else is to be installed on the provider: stop."""
        ...


class ProviderState:
    """Our instruments on one provider, and what was fed into them.

    Args:
        provider: Any meter provider, a proxy too.
        options: Vocabulary and incarnation label; they are the same for the state's life.
    """

    def __init__(self, provider: MeterProvider, *, options: TelemetryOptions) -> None:
        self.installed: Collected | None = None
        self.feeding = threading.Lock()
        """Held while feeding: a collection, and the last feed of what stops, may meet."""
        self._label = options.incarnation_label
        self._latest = options.latest
        self._version = distribution_version()
        self._schema_url = options.schema_url
        meter = provider.get_meter(semconv.SCOPE_NAME, self._version, schema_url=self._schema_url)
        # The first instrument of ours: its callback feeds all others, in every collection, before
        # the SDK reads any of them. https://github.com/open-telemetry/opentelemetry-python
        # (SynchronousMeasurementConsumer.collect) asks callbacks in the order of their creation.
        definition = GAUGES[semconv.CALLS_OPEN]
        meter.create_observable_gauge(
            semconv.CALLS_OPEN,
            callbacks=[self._observe],
            unit=definition.unit,
            description=definition.description,
        )
        self.instruments = Instruments(meter, latest=options.latest)
        self._feeds: dict[str, IncarnationFeed] = {}
        # Made now, because in a callback the provider may be gone; a meter without values exports
        # nothing.
        self._recovered = Instruments(
            provider.get_meter(
                semconv.RECOVERED_SCOPE_NAME, self._version, schema_url=self._schema_url
            ),
            latest=options.latest,
            names=RECOVERED_COUNTERS,
        )
        self._recovered_feeds: dict[str, IncarnationFeed] = {}

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        observations: Sequence[Observation] = ()
        installed = self.installed
        if installed is not None:
            with _COLLECT:
                observations = installed.collect()
        return observations

    def feed_of(self, incarnation: str) -> IncarnationFeed:
        """What was fed of a living incarnation."""
        feed = self._feeds.get(incarnation)
        if feed is None:
            feed = self._feeds[incarnation] = IncarnationFeed(
                incarnation,
                label=incarnation if self._label else None,
                counters=self.instruments.counters,
            )
        return feed

    def recovered_feed_of(self, incarnation: str) -> IncarnationFeed:
        """What was fed of a dead incarnation, into a scope with limits of its own."""
        feed = self._recovered_feeds.get(incarnation)
        if feed is None:
            feed = self._recovered_feeds[incarnation] = IncarnationFeed(
                incarnation,
                label=incarnation if self._label else None,
                counters=self._recovered.counters,
            )
        return feed

    def renew_locks(self) -> None:
        """In a forked child: locks of ours may be held by threads that are gone."""
        self.feeding = threading.Lock()
        self.instruments.renew_locks()
        self._recovered.renew_locks()


class ProviderStates:
    """The states by provider; a provider that is gone takes its state along."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_provider: WeakKeyDictionary[
            MeterProvider, dict[tuple[str, bool], ProviderState]
        ] = WeakKeyDictionary()

    def renew_after_fork(self) -> None:
        """In a forked child the lock may be held by a thread that is gone."""
        self._lock = threading.Lock()

    def of(self, provider: MeterProvider, *, options: TelemetryOptions) -> ProviderState:
        """The provider's state for these names and labels, made at first use."""
        with self._lock:
            states = self._by_provider.setdefault(provider, {})
            kind = (options.schema_url, options.incarnation_label)
            state = states.get(kind)
            if state is None:
                state = states[kind] = ProviderState(provider, options=options)
            return state


PROVIDER_STATES: Final = ProviderStates()
"""Of this process."""
