"""One way in one round, and what several rounds come to. Open this file to see how a ratio is made.

A round measures every way once, each round beginning with the next one, so that what else the machine does falls on all
of them. A ratio is the median of the ratios of the rounds, never a ratio of medians of different times.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter


class Unexpected(Exception):
    """An answer that is no acceptance, or an accepted order that is not stored: the figures would be worthless."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One way in one round."""

    orders: int
    rate: float
    """Orders per second."""
    cpu_us: Mapping[str, float]
    """CPU microseconds per order, by process; the load's own are not in it."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def cpu_total_us(self) -> float:
        return sum(self.cpu_us.values())


Measure = Callable[[float], Awaitable[Sample]]
Round = Mapping[str, Sample]
Say = Callable[[str], None]


@dataclass(slots=True)
class Found:
    """What one measurement has come to."""

    ratios: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a ratio is missing."""
    rounds: dict[str, list[dict[str, Sample]]] = field(default_factory=dict)
    """Samples by table."""
    figures: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Single figures by table."""
    notes: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """Parts that ended by an error, and by which."""

    def take(self, other: "Found") -> None:
        self.ratios.update(other.ratios)
        self.reasons.update(other.reasons)
        self.rounds.update(other.rounds)
        for title, rows in other.figures.items():
            self.figures.setdefault(title, {}).update(rows)
        self.notes += other.notes
        self.broken.update(other.broken)


async def rounds(
    ways: Mapping[str, Measure], count: int, seconds: float, until: float, say: Say
) -> list[dict[str, Sample]]:
    """Every way once per round; no round begins after `until`."""
    measured: list[dict[str, Sample]] = []
    names = list(ways)
    for number in range(count):
        if measured and perf_counter() > until:
            break
        start = number % len(names)
        say(f"round {number + 1} of {count}")
        taken = {name: await ways[name](seconds) for name in names[start:] + names[:start]}
        measured.append({name: taken[name] for name in names})
    return measured


def rate_ratio(measured: Sequence[Round], over: str, under: str) -> float:
    """How many times as many orders per second `over` makes; median of the rounds."""
    return median(each[over].rate / each[under].rate for each in measured)


def cpu_ratio(measured: Sequence[Round], over: str, under: str) -> float:
    """How many times the CPU per order `over` takes."""
    return median(each[over].cpu_total_us / each[under].cpu_total_us for each in measured)
