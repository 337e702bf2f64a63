"""How a command that asks the gateway begins and ends.

Finds the mesh, takes a token, turns failures into exit codes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from libs.cli.api import Api, Problem, Unreachable, connected
from libs.cli.config import surroundings
from libs.cli.instance import NotRunning, find
from libs.cli.keys import Bearer

EXIT_REFUSED = 1
EXIT_NOT_RUNNING = 3

ResultT = TypeVar("ResultT")


def ask(data: Path | None, bearer: Bearer, work: Callable[[Api], Awaitable[ResultT]]) -> ResultT:
    """Runs `work` against the running mesh. Prints why it failed and ends the command.

    1 refused, 3 no mesh.
    """
    around = surroundings()

    async def run() -> ResultT:
        where, record = find(data, around)
        async with connected(where, record, around, bearer) as api:
            return await work(api)

    try:
        return asyncio.run(run())
    except (Problem, Unreachable) as error:
        complain(str(error))
        raise typer.Exit(EXIT_REFUSED) from error
    except NotRunning as error:
        complain(str(error))
        raise typer.Exit(EXIT_NOT_RUNNING) from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def complain(text: str) -> None:
    """One line for people, on standard error."""
    Console(stderr=True).print(f"ordermesh: {text}", style="red", markup=False, highlight=False)
