"""How long calls take and how they end, for whoever asks for metrics: two looks at the clock and a count for each."""

from time import perf_counter
from types import TracebackType

from prometheus_client import Histogram

from libs.common.metrics.declaring import Metric

OK = "OK"
CANCELLED = "CANCELLED"


class Timing:
    """One call, from the making of this object to the end of its block. `code` is set where it ends with an error."""

    __slots__ = ("_began", "_metric", "_path", "code")

    def __init__(self, metric: Metric[Histogram], path: str) -> None:
        self._metric = metric
        self._path = path
        self._began = perf_counter()
        self.code = OK

    def __enter__(self) -> "Timing":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.code = CANCELLED
        self._metric.at(self._path[1:], self.code).observe(perf_counter() - self._began)
