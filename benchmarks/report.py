"""Figures to table, JSON and chart. Open this file to change what is shown."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table

from benchmarks.measure import PRODUCT, Sample

WIDTH, ROW, LABEL = 760, 34, 230


@dataclass(slots=True)
class Result:
    """Everything of one run."""

    began: datetime
    rounds: list[dict[str, Sample]]
    ratios: dict[str, float]
    goals: Mapping[str, str]
    latency: dict[str, Sample] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def row(self, name: str) -> tuple[float, float, float, float, dict[str, float]]:
        """Median, lowest and highest rate, median CPU in all, and by process."""
        samples = [each[name] for each in self.rounds]
        rates = [sample.rate for sample in samples]
        cpu = {process: median(sample.cpu_us[process] for sample in samples) for process in samples[0].cpu_us}
        return median(rates), min(rates), max(rates), median(s.cpu_total_us for s in samples), cpu

    @property
    def names(self) -> Sequence[str]:
        """Always in the same order, whichever way the first round began with."""
        return list(self.rounds[0])


def machine() -> str:
    """What it ran on, and how busy that was."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load average {load:.1f} at the start"
    )


def show(result: Result, console: Console) -> None:
    table = Table(title="Orders taken in, all in one run, medians of interleaved rounds")
    for heading in ("way", "orders/s", "lowest–highest", "CPU µs per order", "by process"):
        table.add_column(heading, justify="left" if heading in ("way", "by process") else "right")
    for name in result.names:
        rate, low, high, total, cpu = result.row(name)
        table.add_row(name, f"{rate:,.0f}", f"{low:,.0f}–{high:,.0f}", f"{total:,.0f}", _parts(cpu))
    console.print(table)
    table = Table(title="Latency, open loop, counted from the moment an order was due")
    for heading in ("way and rate", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if "way" in heading else "right")
    for name, sample in result.latency.items():
        table.add_row(name, f"{sample.p50_ms:.1f}", f"{sample.p99_ms:.1f}")
    console.print(table)
    table = Table(title="Ratios, medians of same-round ratios")
    for heading in ("ratio", "measured", "goal"):
        table.add_column(heading, justify="left" if heading == "ratio" else "right")
    for name, value in result.ratios.items():
        table.add_row(name, f"{value:.2f}", result.goals.get(name, ""))
    console.print(table)
    for note in result.notes:
        console.print(note, markup=False, highlight=False)


def as_json(result: Result) -> str:
    """One line."""
    return json.dumps(
        {
            "ratios": {name: round(value, 3) for name, value in result.ratios.items()},
            "goals": dict(result.goals),
            "began": result.began.isoformat(timespec="seconds"),
            "notes": result.notes,
            "rounds": [{name: asdict(sample) for name, sample in each.items()} for each in result.rounds],
            "latency": {name: asdict(sample) for name, sample in result.latency.items()},
        }
    )


def write_page(result: Result, folder: Path) -> None:
    """The page and the chart in `docs/benchmarks`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accept.svg").write_text(chart(result))
    lines = [
        "# Measured: taking orders in",
        "",
        f"{result.began:%Y-%m-%d %H:%M} UTC. Made by `make bench`; what each figure means and how to repeat it is in",
        "[benchmarks/README.md](../../benchmarks/README.md).",
        "",
        *(f"- {note}" for note in result.notes),
        "",
        "![Orders per second and CPU per order](accept.svg)",
        "",
        "| way | orders/s, median | lowest–highest | CPU µs per order | by process |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name in result.names:
        rate, low, high, total, cpu = result.row(name)
        lines.append(f"| {name} | {rate:,.0f} | {low:,.0f}–{high:,.0f} | {total:,.0f} | {_parts(cpu)} |")
    lines += ["", "| latency, open loop | p50 ms | p99 ms |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {s.p50_ms:.1f} | {s.p99_ms:.1f} |" for name, s in result.latency.items()]
    lines += ["", "| ratio | measured | goal |", "| --- | ---: | ---: |"]
    lines += [
        f"| {name} | {value:.2f} | {result.goals.get(name, '')} |" for name, value in result.ratios.items()
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def chart(result: Result) -> str:
    """Bars of orders per second, each with its CPU per order, as SVG."""
    rows = [(name, *result.row(name)) for name in result.names]
    fastest = max(row[3] for row in rows)
    scale = (WIDTH - LABEL - 210) / fastest
    height = ROW * len(rows) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="bold">Orders per second (bar: median, line: lowest to highest)</text>',
    ]
    for place, (name, rate, low, high, total, _) in enumerate(rows):
        y = 40 + ROW * place
        colour = "#2f6fab" if name == PRODUCT else "#a9b4c0"
        middle = y + 11
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{max(1.0, rate * scale):.1f}" height="22" fill="{colour}"/>',
            f'<line x1="{LABEL + low * scale:.1f}" x2="{LABEL + high * scale:.1f}"',
            f' y1="{middle}" y2="{middle}" stroke="#333"/>',
            f'<text x="{LABEL + high * scale + 8:.1f}" y="{y + 16}">{rate:,.0f}/s, {total:,.0f} µs CPU</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _parts(cpu: Mapping[str, float]) -> str:
    return " + ".join(f"{process} {value:,.0f}" for process, value in cpu.items())
