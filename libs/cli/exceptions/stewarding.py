"""What a steward decides: `accept`, `reject` of proposed values; `candidates`, `link`, `keep-apart` of duplicates."""

from typing import Annotated

import typer
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2
from rich.console import Console
from rich.table import Table

from libs.cli.api import Api
from libs.cli.exceptions.selection import (
    AllOption,
    AsOption,
    FilterOption,
    IdArgument,
    IdsArgument,
    LimitOption,
    ReasonOption,
    Seat,
    Selection,
    WhyOption,
    act_on_each,
)
from libs.cli.exceptions.tables import table_of
from libs.cli.options import DataOption, TenantOption
from libs.cli.session import ask

STEWARD, ROLE = "ordermesh-steward", "steward"


def accept(
    *,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "reason = CHANGE_PROPOSED",
    limit: LimitOption = 100,
    reason: ReasonOption = "",
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Lets proposed values go to the systems that own the fields."""

    async def act(api: Api, exception_id: str) -> None:
        await api.accept_proposal(exception_id, reason)

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant, subject, ROLE), "accepted")


def reject(
    *,
    reason: WhyOption,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "reason = CHANGE_PROPOSED",
    limit: LimitOption = 100,
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Decides against proposed values; who proposed them is told the record as it is."""

    async def act(api: Api, exception_id: str) -> None:
        await api.reject_proposal(exception_id, reason)

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant, subject, ROLE), "rejected")


def candidates(
    item: IdArgument,
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Shows an outside record beside the customers that it may stand for."""

    async def work(api: Api) -> customer_service_pb2.GetCandidatesResponse:
        return await api.get_candidates(item)

    found = ask(data, Seat(data, tenant, subject, ROLE).bearer, work)
    Console().print(_side_by_side(found))


def link(
    item: IdArgument,
    *,
    to: Annotated[str, typer.Option("--to", help="Id of the customer; empty takes the only candidate.")] = "",
    reason: ReasonOption = "",
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Decides that an outside record stands for a customer, and takes in what waited."""

    async def work(api: Api) -> customer_service_pb2.LinkCandidateResponse:
        return await api.link_candidate(item, to, reason)

    answer = ask(data, Seat(data, tenant, subject, ROLE).bearer, work)
    said = f"{item} linked to {answer.customer.customer_id}"
    Console().print(said, markup=False, highlight=False)


def keep_apart(
    *,
    reason: WhyOption,
    ids: IdsArgument = None,
    every: AllOption = False,
    wanted: FilterOption = "reason = DUPLICATE_CANDIDATE",
    limit: LimitOption = 100,
    subject: AsOption = STEWARD,
    data: DataOption = None,
    tenant: TenantOption = "acme",
) -> None:
    """Decides that outside records stand for none of their candidates, for good."""

    async def act(api: Api, exception_id: str) -> None:
        await api.keep_candidate_apart(exception_id, reason)

    selection = Selection(ids or [], every, wanted, limit)
    act_on_each(act, selection, Seat(data, tenant, subject, ROLE), "kept apart")


def _side_by_side(found: customer_service_pb2.GetCandidatesResponse) -> Table:
    titles = ("record", "score", "alike in", "number", "name", "tax number", "D-U-N-S", "address")
    outside = (f"{found.ref.system} {found.ref.external_id}", "", "", *_compared(found.incoming))
    known = [
        (each.customer.customer_id, str(each.score), ", ".join(each.matched), *_compared(each.customer))
        for each in found.candidates
    ]
    return table_of(titles, [outside, *known])


def _compared(customer: customer_pb2.Customer) -> tuple[str, ...]:
    place = customer.bill_to if customer.HasField("bill_to") else customer.ship_to
    address = ", ".join(part for part in (*place.lines, place.postal_code, place.locality) if part)
    return customer.number, customer.name, customer.tax_id, customer.duns, address
