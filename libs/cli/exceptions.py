"""`ordermesh exceptions`: the queue of what a person must look at, and what to do about it.

Commands that act take ids, or `--all` with a filter; `--all` acts on at most `--limit` items, one after the
other.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from ordermesh.common.v1 import error_reason_pb2
from ordermesh.operations.v1 import operations_pb2
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from libs.cli.api import Api, Problem
from libs.cli.keys import Bearer
from libs.cli.options import DataOption, TenantOption
from libs.cli.session import EXIT_REFUSED, ask, complain

FilterOption = Annotated[
    str, typer.Option("--filter", help="For example: reason = TAX_CODE_UNKNOWN AND target = stage:post")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many items.")]
AllOption = Annotated[bool, typer.Option("--all", help="All items that the filter lets through.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids as the list shows them.")]
PROGRESS_FROM = 10
"""Items from which on a progress bar is worth its line."""
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items a command acts on."""

    ids: Sequence[str]
    every: bool
    wanted: str
    limit: int


def build() -> typer.Typer:
    """The group of subcommands."""
    group = typer.Typer(help="The exception queue: list, replay, discard, assign.", no_args_is_help=True)
    group.command("list")(list_items)
    for command in (replay, discard, assign):
        group.command()(command)
    return group


def list_items(
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Lists what is parked, oldest first."""

    async def work(api: Api) -> list[operations_pb2.Delivery]:
        return await api.list_exceptions(wanted, limit)

    Console().print(exception_table(ask(data, _operator(tenant), work)))


def replay(
    *,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    reason: ReasonOption = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be sent.")] = False,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Makes parked items due again."""

    async def act(api: Api, exception_id: str) -> None:
        answer = await api.replay_exception(exception_id, reason=reason, validate_only=preview)
        if preview:
            Console().print(f"{exception_id}: {answer.preview}", markup=False)

    done = "previewed" if preview else "due again"
    _act_on_each(act, Selection(ids or [], every, wanted, limit), data, tenant, done)


def discard(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit; required.")],
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Decides against parked items; what follows them goes on."""

    async def act(api: Api, exception_id: str) -> None:
        await api.discard_exception(exception_id, reason)

    _act_on_each(act, Selection(ids or [], every, wanted, limit), data, tenant, "discarded")


def assign(
    *,
    to: Annotated[str, typer.Option("--to", help="Subject of the person's token; empty takes nobody.")],
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Puts a person in charge of parked items."""

    async def act(api: Api, exception_id: str) -> None:
        await api.assign_exception(exception_id, to)

    _act_on_each(act, Selection(ids or [], every, wanted, limit), data, tenant, "assigned")


def _act_on_each(
    act: Callable[[Api, str], Awaitable[None]],
    selection: Selection,
    data: Path | None,
    tenant: str,
    done: str,
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

    tried = ask(data, _operator(tenant), work)
    Console().print(f"{tried - len(refused)} of {tried} {done}", highlight=False)
    for line in refused:
        complain(line)
    if refused:
        raise typer.Exit(EXIT_REFUSED)


def _operator(tenant: str) -> Bearer:
    return Bearer(tenant=tenant, roles=("support_operator",), subject="ordermesh-operator")


def exception_table(items: Sequence[operations_pb2.Delivery]) -> Table:
    """What is parked, why, and who owns it."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "parked", "record", "target", "reason", "class", "owner", "in charge", "detail"):
        table.add_column(title, overflow="fold")
    for item in items:
        failure_class = error_reason_pb2.FailureClass.Name(item.failure_class).removeprefix("FAILURE_CLASS_")
        parked = f"{item.park_time.ToDatetime(UTC):%m-%d %H:%M:%S}" if item.HasField("park_time") else ""
        cells = (
            item.subject,
            item.target,
            item.reason,
            failure_class.lower(),
            owner_name(item),
            item.assignee,
        )
        table.add_row(item.delivery_id, parked, *(Text(cell) for cell in (*cells, item.detail)))
    return table


def owner_name(item: operations_pb2.Delivery) -> str:
    """`finance`, `master-data` …"""
    name = error_reason_pb2.OwnerTeam.Name(item.owner).removeprefix("OWNER_TEAM_")
    return name.lower().replace("_", "-")
