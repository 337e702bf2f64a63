"""The model of customers, pure: no I/O, no clock, no ids made here.

customer.py    what a customer is and may become, and whose word counts
matching.py    which customers an outside record may stand for
merging.py     two customers that are one, and back
"""

from services.customer.domain.customer import CrmFields, Customer, CustomerEvent, ErpFields, State, place_of
from services.customer.domain.matching import Claimant, Keys, Likeness, likeness, ranked
from services.customer.domain.merging import check_mergeable, merge, unmerge

__all__ = [
    "Claimant",
    "CrmFields",
    "Customer",
    "CustomerEvent",
    "ErpFields",
    "Keys",
    "Likeness",
    "State",
    "check_mergeable",
    "likeness",
    "merge",
    "place_of",
    "ranked",
    "unmerge",
]
