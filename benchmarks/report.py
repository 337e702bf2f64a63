"""Figures to table and JSON. Open this file to change what a run shows; `page.py` writes the page and the charts."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.sample import Found, Sample

TITLES = {"accept": "Orders taken in", "complete": "Orders completed: received, posted, paid"}


@dataclass(slots=True)
class Result:
    """Everything of one run."""

    began: datetime
    found: Found
    goals: Mapping[str, str]

    def table(self, name: str) -> Sequence["Row"]:
        """One row per way, in the order of the first round."""
        measured = self.found.rounds[name]
        return [Row.of(way, [each[way] for each in measured]) for way in measured[0]]


@dataclass(frozen=True, slots=True)
class Row:
    """One way over all rounds."""

    name: str
    rate: float
    low: float
    high: float
    cpu_us: float
    parts: Mapping[str, float]

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample]) -> "Row":
        rates = [sample.rate for sample in samples]
        parts = {
            process: median(sample.cpu_us[process] for sample in samples) for process in samples[0].cpu_us
        }
        total = median(sample.cpu_total_us for sample in samples)
        return cls(name, median(rates), min(rates), max(rates), total, parts)

    @property
    def shown(self) -> Sequence[str]:
        parts = " + ".join(f"{process} {value:,.0f}" for process, value in self.parts.items())
        return (
            self.name,
            f"{self.rate:,.0f}",
            f"{self.low:,.0f}–{self.high:,.0f}",
            f"{self.cpu_us:,.0f}",
            parts,
        )


HEADINGS = ("way", "orders/s", "lowest–highest", "CPU µs per order", "by process")


def machine() -> str:
    """What it ran on, and how busy that was."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load average {load:.1f} at the start"
    )


def shown(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio_rows(result: Result) -> Sequence[tuple[str, str, str]]:
    """Ratio, figure or the reason why there is none, goal; in the order of the goals."""
    found = result.found
    rows = []
    for name, goal in result.goals.items():
        value = found.ratios[name]
        rows.append((name, shown(value) if value is not None else f"– ({found.reasons[name]})", goal))
    return rows


def show(result: Result, console: Console) -> None:
    for name in result.found.rounds:
        _show(console, TITLES[name], HEADINGS, [row.shown for row in result.table(name)])
    for title, figures in result.found.figures.items():
        headings, rows = figure_rows(figures)
        _show(console, title, headings, rows)
    _show(console, "Ratios, medians of same-round ratios", ("ratio", "measured", "goal"), ratio_rows(result))
    for note in result.found.notes:
        console.print(note, markup=False, highlight=False)


def figure_rows(
    figures: Mapping[str, Mapping[str, float]],
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Headings and rows of single figures."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    rows = [
        [key, *(shown(row[name]) if name in row else "" for name in names)] for key, row in figures.items()
    ]
    return ("", *names), rows


def _show(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if not place or heading == "by process" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def as_json(result: Result) -> str:
    """One line."""
    found = result.found
    return json.dumps(
        {
            "ratios": {
                name: None if found.ratios[name] is None else round(found.ratios[name] or 0.0, 3)
                for name in result.goals
            },
            "reasons": found.reasons,
            "goals": dict(result.goals),
            "began": result.began.isoformat(timespec="seconds"),
            "notes": found.notes,
            "figures": found.figures,
            "rounds": {
                table: [{name: asdict(sample) for name, sample in each.items()} for each in measured]
                for table, measured in found.rounds.items()
            },
        },
        ensure_ascii=False,
    )
