"""What changes an item: `replay`, `replay-many`, `edit`, `assign`, `comment`, `discard`, `approve`.

Commands that act take ids, or `--all` with a filter, and act one after the other. `replay-many` is one bulk replay,
spread over time by the services; `--wait` follows it to its end.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from rich.console import Console
from rich.progress import Progress

from libs.cli.api import Api
from libs.cli.exceptions.selection import (
    AllOption,
    AsOption,
    FilterOption,
    IdArgument,
    IdsArgument,
    LimitOption,
    PinOption,
    ReasonOption,
    Seat,
    Selection,
    WhyOption,
    act_on_each,
)
from libs.cli.exceptions.tables import asked_for, difference_table
from libs.cli.options import DataOption, TenantOption
from libs.cli.session import ask
from libs.common.clock import SystemClock

APPROVER = "ordermesh-approver"
LOOK_EVERY = timedelta(seconds=1)


def replay(
    *,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    mapping: PinOption = "",
    reason: ReasonOption = "",
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Makes parked items due again at once, or asks for it where two people must agree."""

    async def act(api: Api, exception_id: str) -> None:
        _say_asked((await api.replay_exception(exception_id, reason=reason, mapping=mapping)).exception)

    act_on_each(act, Selection(ids or [], every, wanted, limit), Seat(data, tenant), "replayed")


def replay_many(
    *,
    wanted: FilterOption = "",
    limit: LimitOption = 1000,
    per_second: Annotated[
        int, typer.Option("--per-second", min=1, max=1000, help="Items of each service due each second.")
    ] = 10,
    mapping: PinOption = "",
    reason: ReasonOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Makes many parked items due one after the other, at a pace that the systems bear."""
    body = {
        "filter": wanted,
        "itemsMax": limit,
        "perSecond": per_second,
        "pinnedMapping": mapping,
        "reason": reason,
    }

    async def work(api: Api) -> operations_service_pb2.ReplayExceptionsResponse:
        answer = await api.replay_exceptions(body)
        if wait and answer.replay_ids:
            await _follow(api, answer.replay_ids)
        return answer

    answer = ask(data, Seat(data, tenant).bearer, work)
    said = f"{answer.replayed} due again"
    if answer.HasField("last_due_time"):
        said += f", the last at {answer.last_due_time.ToDatetime():%Y-%m-%d %H:%M:%S}Z"
    if answer.awaiting_approval:
        said += f"; {answer.awaiting_approval} wait for a second person"
    Console().print(said, markup=False, highlight=False)


async def _follow(api: Api, replay_ids: Sequence[str]) -> None:
    """One bar for all services, until nothing waits any more."""
    clock, never = SystemClock(), asyncio.Event()
    with Progress(transient=True) as progress:
        bar = progress.add_task("replaying", total=None)
        while True:
            found = [await api.get_replay(replay_id) for replay_id in replay_ids]
            items, waiting = sum(each.items for each in found), sum(each.waiting for each in found)
            progress.update(bar, total=items, completed=items - waiting)
            if not waiting:
                break
            await clock.wait(never, LOOK_EVERY)
    delivered, parked = sum(each.delivered for each in found), sum(each.parked for each in found)
    Console().print(f"{delivered} delivered, {parked} parked again", highlight=False)


def discard(
    *,
    reason: WhyOption,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Decides against parked items, or asks for it where two people must agree."""

    async def act(api: Api, exception_id: str) -> None:
        _say_asked(await api.discard_exception(exception_id, reason))

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant), "discarded")


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

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant), "assigned")


def comment(
    *,
    text: Annotated[str, typer.Option("--text", help="The remark, without personal data; required.")],
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Leaves a remark for those who come after."""

    async def act(api: Api, exception_id: str) -> None:
        await api.comment_exception(exception_id, text)

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant), "commented")


def edit(
    item: IdArgument,
    *,
    file: Annotated[
        Path,
        typer.Option("--file", exists=True, dir_okay=False, help="The payload as `show --payload` gives it."),
    ],
    reason: WhyOption,
    check: Annotated[bool, typer.Option("--check", help="Only check it and show what differs.")] = False,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Lets an item carry another payload; the original is kept. Replay it afterwards."""
    payload = file.read_text()

    async def work(api: Api) -> operations_service_pb2.EditExceptionResponse:
        return await api.edit_exception(item, payload, reason, validate_only=check)

    answer = ask(data, Seat(data, tenant).bearer, work)
    console = Console()
    console.print(difference_table(answer.differences, "was"))
    console.print("checked, nothing was changed" if check else "edited; still parked", highlight=False)


def approve(
    item: IdArgument,
    *,
    reason: ReasonOption = "",
    subject: AsOption = APPROVER,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Lets what somebody else asked for be done; shows it first and asks."""
    seat = Seat(data, tenant, subject, "approver")

    async def look(api: Api) -> operations_pb2.Delivery:
        return (await api.get_exception(item)).exception

    found = ask(data, seat.bearer, look)
    if not found.HasField("approval"):
        raise typer.BadParameter(f"nothing is asked for about {item}")
    said = f"{item} ({found.reason}, {found.subject}): {asked_for(found)}, because: {found.approval.reason}"
    Console().print(said, markup=False, highlight=False)
    typer.confirm("Approve?", abort=True)

    async def work(api: Api) -> operations_pb2.Delivery:
        return await api.approve_exception(item, found.approval.request_id, reason)

    state = operations_pb2.DeliveryState.Name(ask(data, seat.bearer, work).state)
    Console().print(f"approved: {state.removeprefix('DELIVERY_STATE_').lower()}", highlight=False)


def _say_asked(item: operations_pb2.Delivery) -> None:
    if item.HasField("approval"):
        said = (
            f"{item.delivery_id}: {asked_for(item)} waits for a second person: ordermesh exceptions approve"
        )
        Console().print(said, markup=False, highlight=False)
