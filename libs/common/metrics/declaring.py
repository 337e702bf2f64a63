"""How a metric is declared and kept. Open this file to change what all of them have; they stand in `__init__.py`.

One registry a process. A series is looked up once and kept, so that counting costs well below a microsecond.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Generic, Protocol, Self, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

REGISTRY = CollectorRegistry()
SERIES_AT_HAND = 4096
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a further series for each: when it began, which Prometheus finds out by itself
ProcessCollector(registry=REGISTRY)


class Series(Protocol):
    """What the library's counters, gauges and histograms have in common."""

    def labels(self, *values: object) -> Self: ...

    def clear(self) -> None: ...


S = TypeVar("S", bound=Series)


class Metric(Generic[S]):
    """One metric. `at("POST", "/v1/orders")` is the series of these label values, which come from code, contracts or
    settings and never from what somebody sent."""

    def __init__(self, name: str, kind: str, labels: Sequence[str], text: str, series: S) -> None:
        self.name = name
        self.kind = kind
        self.labels = tuple(labels)
        self.text = text
        self._series = series
        self._kept = lru_cache(maxsize=SERIES_AT_HAND)(series.labels if labels else lambda: series)
        self.at: Callable[..., S] = self._kept

    def clear(self) -> None:
        """Forgets every series: what is not set again is not told any more."""
        self._series.clear()
        self._kept.cache_clear()


CATALOGUE: list[Metric[Counter] | Metric[Gauge] | Metric[Histogram]] = []
"""Every metric of ours, in the order of the page that is made from it."""


def counter(name: str, text: str, *labels: str) -> Metric[Counter]:
    found = Metric(name, "counter", labels, text, Counter(name, text, labels, registry=REGISTRY))
    CATALOGUE.append(found)
    return found


def gauge(name: str, text: str, *labels: str) -> Metric[Gauge]:
    found = Metric(name, "gauge", labels, text, Gauge(name, text, labels, registry=REGISTRY))
    CATALOGUE.append(found)
    return found


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Metric[Histogram]:
    made = Histogram(name, text, labels, registry=REGISTRY, buckets=buckets)
    found = Metric(name, "histogram", labels, text, made)
    CATALOGUE.append(found)
    return found
