"""What can be done to customers, one function per intention, each a use case from end to end.

updates.py      what callers change              candidates.py  who an unknown outside record may be
merging.py      two customers that are one
feeds.py        what ERPs and CRMs say           ports.py       what a command needs of its transaction

Each runs inside one commit and may run again when the commit fails, so nothing here has an effect of its own.
"""

from services.customer.commands.candidates import (
    Decided,
    KeepCandidateApart,
    LinkCandidate,
    Waiting,
    keep_candidate_apart,
    link_candidate,
    see_candidates,
)
from services.customer.commands.feeds import record_link, take_in_from_crm, take_in_from_erp
from services.customer.commands.merging import (
    MergeCustomer,
    Merged,
    UnmergeCustomer,
    merge_customer,
    unmerge_customer,
)
from services.customer.commands.ports import Customers, CustomerTx, TakeIn, TakeInFromCrm, TakeInFromErp
from services.customer.commands.updates import UpdateCustomer, update_customer

__all__ = [
    "CustomerTx",
    "Customers",
    "Decided",
    "KeepCandidateApart",
    "LinkCandidate",
    "MergeCustomer",
    "Merged",
    "TakeIn",
    "TakeInFromCrm",
    "TakeInFromErp",
    "UnmergeCustomer",
    "UpdateCustomer",
    "Waiting",
    "keep_candidate_apart",
    "link_candidate",
    "merge_customer",
    "record_link",
    "see_candidates",
    "take_in_from_crm",
    "take_in_from_erp",
    "unmerge_customer",
    "update_customer",
]
