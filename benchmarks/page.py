"""A run as the page and charts of docs/benchmarks. Open this file to change what is published."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks import report
from benchmarks.report import HEADINGS, TITLES, Result, Row

WIDTH, ROW_HEIGHT, LABEL = 780, 34, 230
OURS = "ordermesh"


def write(result: Result, folder: Path) -> None:
    """The page and one chart for each table."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Measured",
        "",
        f"{result.began:%Y-%m-%d %H:%M} UTC. Made by `make bench`; what each figure means and how to repeat it is in",
        "[benchmarks/README.md](../../benchmarks/README.md).",
        "",
        *(f"- {note}" for note in result.found.notes),
        "",
        *_table(("ratio", "measured", "goal"), report.ratio_rows(result), left=("ratio",)),
    ]
    for name in result.found.rounds:
        rows = result.table(name)
        (folder / f"{name}.svg").write_text(chart(TITLES[name], rows))
        lines += ["", f"## {TITLES[name]}", "", f"![{TITLES[name]}: orders per second]({name}.svg)", ""]
        lines += _table(HEADINGS, [row.shown for row in rows], left=("way", "by process"))
    for title, figures in result.found.figures.items():
        headings, shown = report.figure_rows(figures)
        lines += ["", f"## {title}", "", *_table(headings, shown, left=("",))]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> list[str]:
    rule = " | ".join("---" if heading in left else "---:" for heading in headings)
    return [
        f"| {' | '.join(headings)} |",
        f"| {rule} |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def chart(title: str, rows: Sequence[Row]) -> str:
    """Bars of orders per second, each with its CPU per order, as SVG."""
    scale = (WIDTH - LABEL - 210) / max(row.high for row in rows)
    height = ROW_HEIGHT * len(rows) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-weight="bold">{escape(title)}, per second (bar: median, line: range)</text>',
    ]
    for place, row in enumerate(rows):
        y = 40 + ROW_HEIGHT * place
        colour = "#2f6fab" if row.name.startswith(OURS) else "#a9b4c0"
        end = LABEL + row.high * scale
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{max(1.0, row.rate * scale):.1f}" height="22" fill="{colour}"/>',
            f'<line x1="{LABEL + row.low * scale:.1f}" x2="{end:.1f}" y1="{y + 11}" y2="{y + 11}" stroke="#333"/>',
            f'<text x="{end + 8:.1f}" y="{y + 16}">{row.rate:,.0f}/s, {row.cpu_us:,.0f} µs CPU</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
