"""`make faults`: every fault × every seed on one running mesh, and a table of verdicts.

    make faults                                        everything, with three seeds
    make faults SEED="1 2 3 4 5"                       with others
    make faults POINT=after_commit                     what bears this in its name
    make faults POINT=after_commit@order SEED=3        one run again, as a failing one is named

First the checker itself is put to the test: it must object to histories made by broken parts.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Sequence

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from libs.cli.journal import keep_journal
from tests.conftest import MACHINE_SETTINGS
from tests.faults.ground import Ground, open_ground
from tests.faults.planted import PLANTED, SOUND, verdict_on
from tests.faults.trials import Trial, trials, try_out
from tests.faults.worlds import open_worlds

SEEDS = (1, 2, 3)
TRIAL_SECONDS = 600
SHOWN_MAX = 5
BROKEN_CHARACTERS_MAX = 500
PLANTED_BUGS = "planted bugs"

Verdicts = dict[tuple[str, int], list[str]]
"""Objections by trial and seed."""


def main() -> int:
    """The exit code: 0 only when nothing was objected to, and all planted bugs were."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__.splitlines()[0])
    parser.add_argument("--point", default="", help="only what bears this in its name")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated; default 1, 2 and 3")
    parser.add_argument("--list", action="store_true", help="names of all trials")
    options = parser.parse_args()
    chosen = [trial for trial in trials() if options.point in trial.name]
    planted = options.point in PLANTED_BUGS
    console = Console(width=None if Console().is_terminal else 120)
    if options.list or not (chosen or planted):
        console.print(
            "\n".join([PLANTED_BUGS, *(trial.name for trial in trials())]), markup=False, highlight=False
        )
        return 0 if options.list else 2
    for name in [name for name in os.environ if name.startswith(MACHINE_SETTINGS)]:
        del os.environ[name]
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(
        wrapper_class=silent
    )  # the planted bugs run in this process, and what they log is no news
    return asyncio.run(_run(console, chosen, options.seed or SEEDS, planted=planted))


async def _run(console: Console, chosen: Sequence[Trial], seeds: Sequence[int], *, planted: bool) -> int:
    sound = not planted or await _check_the_checker(console)
    verdicts: Verdicts = {}
    if chosen:
        async with open_ground() as ground:
            await _try_all(console, ground, chosen, seeds, verdicts)
        _show(console, chosen, seeds, verdicts)
    return 0 if sound and not any(verdicts.values()) else 1


async def _check_the_checker(console: Console) -> bool:
    """False when a broken part passes, or the sound one does not."""
    table = Table(title="planted bugs", title_justify="left")
    for column in ("bug", "objection that must come", "verdict"):
        table.add_column(column)
    held = True
    async with open_worlds() as worlds:
        for bug in (SOUND, *PLANTED):
            rules = await verdict_on(bug, worlds)
            caught = bug.rule in rules if bug.rule else not rules
            held = held and caught
            said = (
                "[green]as it must be"
                if caught
                else f"[red]passed: {', '.join(sorted(rules)) or 'no objection'}"
            )
            table.add_row(bug.name, bug.rule or "none", said)
    console.print(table)
    return held


async def _try_all(
    console: Console, ground: Ground, chosen: Sequence[Trial], seeds: Sequence[int], verdicts: Verdicts
) -> None:
    keep_journal(ground.mesh.data)
    bars = Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    known: set[str] = set()
    with bars:
        bar = bars.add_task("", total=len(chosen) * len(seeds))
        for seed in seeds:
            for trial in chosen:
                verdicts[trial.name, seed] = await _try_one(bars, bar, ground, trial, seed, known)


async def _try_one(
    bars: Progress, bar: TaskID, ground: Ground, trial: Trial, seed: int, known: set[str]
) -> list[str]:
    """Objections that were not there before: one mesh serves all, and its ledgers forget nothing."""
    bars.update(bar, description=f"{trial.name} seed {seed}")
    began = ground.clock.now()
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            said = await try_out(trial, ground, seed)
    except TimeoutError:
        said = [f"not over after {TRIAL_SECONDS} s"]
    except Exception as error:  # noqa: BLE001  (the outermost loop: the other trials are tried all the same)
        cause = _first_cause(error)
        said = [f"the trial itself broke: {type(cause).__name__}: {cause}"[:BROKEN_CHARACTERS_MAX]]
    fresh = [each for each in said if each not in known]
    known.update(said)
    took = (ground.clock.now() - began).total_seconds()
    verdict = "sound" if not fresh else f"{len(fresh)} objections"
    bars.console.print(
        f"{trial.name}, seed {seed}: {verdict} ({took:.1f} s)",
        style=None if not fresh else "red",
        highlight=False,
    )
    for each in fresh[:SHOWN_MAX]:
        bars.console.print(f"    {each}", style="red", markup=False, highlight=False)
    if fresh:
        bars.console.print(
            f"    again: make faults POINT='{trial.name}' SEED={seed}", markup=False, highlight=False
        )
    bars.advance(bar)
    return fresh


def _first_cause(error: Exception) -> Exception:
    """Of a group of tasks: what ended the first of them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _show(console: Console, chosen: Sequence[Trial], seeds: Sequence[int], verdicts: Verdicts) -> None:
    table = Table(title="faults", title_justify="left")
    table.add_column("point")
    for seed in seeds:
        table.add_column(f"seed {seed}", justify="center")
    for trial in chosen:
        table.add_row(trial.name, *(_cell(verdicts.get((trial.name, seed))) for seed in seeds))
    console.print(table)


def _cell(said: list[str] | None) -> str:
    if said is None:
        return "[yellow]not run"
    return f"[red]{len(said)} objections" if said else "[green]sound"


if __name__ == "__main__":
    raise SystemExit(main())
