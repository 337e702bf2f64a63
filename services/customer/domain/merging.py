"""Two customers that are one, and back. Open this file to learn whose values survive.

    what the ERP owns    the survivor's: its own ERP record goes on stating it
    what the CRM owns    the survivor's where a CRM account stands for it; else the other's, whose account it gets
    outside records      all of both; of two in one system the survivor's stays the one whose word counts

The merged customer stays as it was, says where it went and keeps what it needs to come back.
"""

from libs.common.aggregate import Link, revised
from libs.common.errors import Refused
from services.customer.domain.customer import ALSO_MAX, CrmFields, Customer, CustomerEvent

SALES_FIELDS = ("account_owner", "segment", "engagement")


def check_mergeable(gone: Customer, survivor: Customer) -> None:
    """Refused with STATE_FORBIDS."""
    if gone.record_id == survivor.record_id:
        raise Refused("STATE_FORBIDS", "a customer is not merged into itself")
    for customer in (gone, survivor):
        if customer.merged_into:
            raise Refused("STATE_FORBIDS", f"{customer.record_id} was merged into {customer.merged_into}")
    if len(survivor.also) + len(gone.all_links) > ALSO_MAX:
        raise Refused("STATE_FORBIDS", f"more than {ALSO_MAX} further records would stand for it")


def merge(gone: Customer, survivor: Customer, brings_account: bool) -> tuple[Customer, Customer]:
    """Both as they are afterwards. brings_account: the survivor gets its first account of a CRM."""
    firsts = tuple(link for link in gone.links if survivor.link_of(link.system) is None)
    further = tuple(link for link in gone.links if link not in firsts) + gone.also
    taken = {
        name: getattr(gone, name)
        for name in SALES_FIELDS
        if brings_account and getattr(gone, name) and not getattr(survivor, name)
    }
    after = revised(survivor, links=survivor.links + firsts, also=survivor.also + further)
    after = after.with_sales(CrmFields(**taken))
    after = after.telling(CustomerEvent.SALES_CHANGED if taken else CustomerEvent.LINKED)
    left = revised(
        gone,
        links=(),
        also=(),
        merged_into=survivor.record_id,
        merged_links=gone.links,
        merged_also=gone.also,
        merged_fields=tuple(taken),
    ).telling(CustomerEvent.MERGED)
    return left, after.kept() if brings_account else after


def unmerge(gone: Customer, survivor: Customer) -> tuple[Customer, Customer]:
    """Both as they are afterwards; records that have gone meanwhile do not come back."""
    there = {_place(link) for link in survivor.all_links}
    back = {_place(link) for link in (*gone.merged_links, *gone.merged_also)} & there
    lost = {name: "" for name in gone.merged_fields if getattr(survivor, name) == getattr(gone, name)}
    links = [link for link in survivor.links if _place(link) not in back]
    also: list[Link] = []
    for link in survivor.also:
        if _place(link) not in back:
            is_first = all(other.system != link.system for other in links)
            (links if is_first else also).append(link)
    after = revised(survivor, links=tuple(links), also=tuple(also))
    after = after.with_sales(CrmFields(**lost))
    restored = revised(
        gone,
        links=tuple(link for link in gone.merged_links if _place(link) in back),
        also=tuple(link for link in gone.merged_also if _place(link) in back),
        merged_into="",
        merged_links=(),
        merged_also=(),
        merged_fields=(),
    ).telling(CustomerEvent.LINKED)
    return restored, after.telling(CustomerEvent.SALES_CHANGED if lost else CustomerEvent.LINKED)


def _place(link: Link) -> tuple[str, str]:
    return link.system, link.external_id
