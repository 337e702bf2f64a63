"""Which items a command acts on. Open this file to change how `--all` and `--limit` are understood."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from libs.cli.api import Api, Problem
from libs.cli.keys import Bearer
from libs.cli.session import EXIT_REFUSED, ask, complain

FilterOption = Annotated[
    str, typer.Option("--filter", help="For example: reason = TAX_CODE_UNKNOWN AND target = stage:post")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many items.")]
AllOption = Annotated[bool, typer.Option("--all", help="All items that the filter lets through.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids as the list shows them.")]
IdArgument = Annotated[str, typer.Argument(help="Id as the list shows it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why, for the audit; required.")]
PinOption = Annotated[
    str, typer.Option("--mapping", help="Mapping to pin, for example netsuite.sales_order@1.")
]
AsOption = Annotated[str, typer.Option("--as", help="Subject of the token: who is acting.")]
OPERATOR = "ordermesh-operator"
PROGRESS_FROM = 10
"""Items from which on a progress bar is worth its line."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items a command acts on."""

    ids: Sequence[str]
    every: bool
    wanted: str
    limit: int


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a command acts, and as whom."""

    data: Path | None
    tenant: str
    subject: str = OPERATOR
    role: str = "support_operator"

    @property
    def bearer(self) -> Bearer:
        return Bearer(tenant=self.tenant, roles=(self.role,), subject=self.subject)


def act_on_each(
    act: Callable[[Api, str], Awaitable[None]], selection: Selection, seat: Seat, done: str
) -> None:
    """One after the other, so that a refusal stops nothing; exit 1 when there was one."""
    if bool(selection.ids) == selection.every:
        raise typer.BadParameter("name ids, or use --all, not both")
    refused: list[str] = []

    async def work(api: Api) -> int:
        ids = list(selection.ids)
        if selection.every:
            ids = [item.delivery_id for item in await api.list_exceptions(selection.wanted, selection.limit)]
        for exception_id in track(ids, description=done, disable=len(ids) < PROGRESS_FROM, transient=True):
            try:
                await act(api, exception_id)
            except Problem as error:
                refused.append(f"{exception_id}: {error}")
        return len(ids)

    tried = ask(seat.data, seat.bearer, work)
    Console().print(f"{tried - len(refused)} of {tried} {done}", highlight=False)
    for line in refused:
        complain(line)
    if refused:
        raise typer.Exit(EXIT_REFUSED)
