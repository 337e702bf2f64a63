"""`make bench`: measures ordermesh against common ways of doing the same, side by side. README.md explains each figure.

make bench                                at most ten minutes
make bench ARGS="--quick --json -"        at most one minute; the last line is one JSON object
make bench ARGS="--page docs/benchmarks"  writes the page and the charts as well
"""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import page, report
from benchmarks.course import FULL, QUICK, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures ordermesh against its peers.")
    parser.add_argument("--quick", action="store_true", help="at most a minute, with more noise")
    parser.add_argument(
        "--json", metavar="FILE", help="writes one JSON object; - is the last line of the output"
    )
    parser.add_argument("--page", metavar="FOLDER", type=Path, help="writes the page and the charts there")
    parser.add_argument("--note", action="append", default=[], help="a remark for the table, repeatable")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140, log_path=False, highlight=False)
    result = asyncio.run(run(QUICK if arguments.quick else FULL, console.log))
    result.found.notes += arguments.note
    report.show(result, console)
    if arguments.page:
        page.write(result, arguments.page)
    if arguments.json == "-":
        print(report.as_json(result))
    elif arguments.json:
        Path(arguments.json).write_text(report.as_json(result) + "\n")
    if result.found.broken:
        sys.exit("\n".join(f"{name} broke: {error}" for name, error in result.found.broken.items()))


if __name__ == "__main__":
    main()
