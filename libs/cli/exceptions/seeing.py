"""`ordermesh exceptions list`, `show`, `preview` and `reveal`: nothing here changes anything but the audit."""

from typing import Annotated

import typer
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from rich.console import Console

from libs.cli.api import Api
from libs.cli.exceptions.selection import (
    AsOption,
    FilterOption,
    IdArgument,
    LimitOption,
    PinOption,
    Seat,
    WhyOption,
)
from libs.cli.exceptions.tables import attempt_table, exception_table, history_table, preview_lines
from libs.cli.options import DataOption, TenantOption
from libs.cli.session import ask

VIEWER = "ordermesh-viewer"
STEWARD = "ordermesh-steward"


def list_items(
    wanted: FilterOption = "",
    limit: LimitOption = 100,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Lists what is parked, oldest first."""

    async def work(api: Api) -> list[operations_pb2.Delivery]:
        return await api.list_exceptions(wanted, limit)

    Console().print(exception_table(ask(data, Seat(data, tenant).bearer, work)))


def show(
    item: IdArgument,
    payload: Annotated[
        bool, typer.Option("--payload", help="Only what it carries, as JSON that `edit` takes.")
    ] = False,
    subject: AsOption = VIEWER,
    role: Annotated[str, typer.Option("--role", help="Role that looks; `reveal` shows what is masked.")] = (
        "support_viewer"
    ),
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Shows one item with its tries and what was done about it."""

    async def work(api: Api) -> operations_service_pb2.GetExceptionResponse:
        return await api.get_exception(item)

    found = ask(data, Seat(data, tenant, subject, role).bearer, work)
    if payload:
        typer.echo(found.payload)
        return
    console = Console()
    console.print(exception_table([found.exception]))
    if found.exception.HasField("approval"):
        asked = found.exception.approval
        console.print(f"\nrequest {asked.request_id}: {asked.reason}", markup=False, highlight=False)
    if found.exception.edited_by:
        console.print(f"\npayload edited by {found.exception.edited_by}", markup=False, highlight=False)
    for part in (attempt_table(found.attempts), history_table(found.history)):
        if part.row_count:
            console.print()
            console.print(part)


def preview(
    item: IdArgument,
    mapping: PinOption = "",
    subject: AsOption = VIEWER,
    role: Annotated[str, typer.Option("--role", help="Role that looks: an approver sees it all.")] = (
        "support_viewer"
    ),
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Shows what a replay would change where, field by field; nothing is written."""

    async def work(api: Api) -> operations_service_pb2.PreviewExceptionResponse:
        return await api.preview_exception(item, mapping)

    for part in preview_lines(ask(data, Seat(data, tenant, subject, role).bearer, work)):
        Console().print(part, markup=False, highlight=False)


def reveal(
    item: IdArgument,
    *,
    reason: WhyOption,
    attempt: Annotated[
        int,
        typer.Option("--attempt", min=0, help="The exchange of this try instead of what the item carries."),
    ] = 0,
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Shows what is masked elsewhere; the item's history tells who looked at what, and why."""

    async def work(api: Api) -> operations_service_pb2.RevealExceptionResponse:
        return await api.reveal_exception(item, reason, attempt)

    found = ask(data, Seat(data, tenant, subject, "steward").bearer, work)
    for part in (found.payload, found.original_payload, found.request, found.response):
        if part:
            typer.echo(part)
