"""`make sim`: the whole mesh in one process, seed by seed, and a table of verdicts.

    make sim                            some fixed seeds and two fresh ones
    make sim SEED="7 8 9" STEPS=20000   these, and for longer
    make sim SEED=7 ARGS=--trace        every step of one run
    make sim ARGS=--planted             how soon bugs are found that are planted on purpose

A step is a message that arrives: a statement or its greeting at PostgreSQL, a call at a process, an answer at its
caller. A seed that fails is printed with the command that replays it and the last steps before the first objection.
"""

import argparse
import secrets
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from libs.common.testing.simulation.fate import Fault
from tests.simulation.ground import open_ground
from tests.simulation.planted import PLANTED, first_to_find
from tests.simulation.run import STEPS, Verdict, simulate

FIXED = range(1, 9)
FRESH = 2
SHOWN_STEPS = 40
SEED_MAX = 1 << 32


def main() -> int:
    """The exit code: 0 only when no seed met an objection."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, action="append", help="may be repeated")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps at which faults may strike")
    parser.add_argument("--trace", action="store_true", help="show every step")
    parser.add_argument("--planted", action="store_true", help="look for planted bugs instead")
    options = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 170)
    if options.planted:
        return _look_for_planted(console)
    verdicts = []
    with open_ground() as ground:
        for seed in options.seed or [*FIXED, *(secrets.randbelow(SEED_MAX) for _ in range(FRESH))]:
            verdict = simulate(ground, seed, options.steps)
            verdicts.append(verdict)
            _tell(console, verdict, options.steps, SHOWN_STEPS if not options.trace else len(verdict.trace))
    console.print(_table(verdicts))
    return 1 if any(verdict.objections for verdict in verdicts) else 0


def _look_for_planted(console: Console) -> int:
    table = Table(title="planted bugs", title_justify="left")
    for column in ("bug", "found by seed", "objection"):
        table.add_column(column)
    missed = 0
    with open_ground() as ground:
        for bug in PLANTED:
            found = first_to_find(ground, bug)
            missed += found is None
            row = (str(found.seed), found.objections[0]) if found else ("[red]none", "")
            table.add_row(bug.name, *row)
    console.print(table)
    return 1 if missed else 0


def _tell(console: Console, verdict: Verdict, steps: int, shown: int) -> None:
    if verdict.objections or shown > SHOWN_STEPS:
        console.print("\n".join(verdict.trace[-shown:]), markup=False, highlight=False)
    speed = f"{verdict.steps / verdict.took_seconds:,.0f} steps/s"
    said = f"{len(verdict.objections)} objections" if verdict.objections else "sound"
    console.print(f"seed {verdict.seed}: {said} ({verdict.took_seconds:.1f} s, {speed})", highlight=False)
    for objection in verdict.objections:
        console.print(f"    {objection}", style="red", markup=False, highlight=False)
    if verdict.objections:
        console.print(f"    again: {replay(verdict.seed, steps)}", markup=False, highlight=False)


def replay(seed: int, steps: int) -> str:
    """The command that runs a seed again."""
    return f"make sim SEED={seed} STEPS={steps}"


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="simulation", title_justify="left")
    for column in ("seed", "steps", "minutes", "orders", *Fault):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        counts = (verdict.steps, f"{verdict.simulated_seconds / 60:.1f}", verdict.orders)
        struck = (str(verdict.struck.get(fault, 0) or "") for fault in Fault)
        said = f"[red]{len(verdict.objections)} objections" if verdict.objections else "[green]sound"
        table.add_row(str(verdict.seed), *map(str, counts), *struck, said)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
