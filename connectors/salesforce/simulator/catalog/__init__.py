"""The objects and fields of the simulated org: open this to add a field, a custom object or a picklist value.

`fields.py` says what a field can be; `parties.py`, `products.py`, `quotes.py` and `orders.py` list the standard
objects with ordermesh's custom fields on them, `erp.py` the custom objects that mirror ERP documents. `objects()`
below is the one list everything else reads.
"""

from __future__ import annotations

from functools import cache

from .erp import ERP_OBJECTS
from .fields import Field, SObject
from .orders import ORDER_OBJECTS
from .parties import PARTY_OBJECTS
from .products import PRODUCT_OBJECTS
from .quotes import QUOTE_OBJECTS

__all__ = ["Field", "SObject", "child_relationship", "find_object", "objects"]


_ALL = (*PARTY_OBJECTS, *PRODUCT_OBJECTS, *QUOTE_OBJECTS, *ORDER_OBJECTS, *ERP_OBJECTS)


@cache
def objects() -> dict[str, SObject]:
    """Every object by its exact name, in the order describe lists them."""
    return {sobject.name: sobject for sobject in _ALL}


@cache
def _by_lower_name() -> dict[str, SObject]:
    return {name.lower(): sobject for name, sobject in objects().items()}


def find_object(name: str) -> SObject | None:
    """The object of that name, in any letter case."""
    return _by_lower_name().get(name.lower())


@cache
def child_relationship(parent: str, relationship: str) -> tuple[SObject, Field] | None:
    """The child object and its parent field behind a name such as `OrderItems` on Order; None when there is none."""
    for sobject in objects().values():
        for field in sobject.fields.values():
            if field.refers_to == parent and field.children.lower() == relationship.lower() != "":
                return sobject, field
    return None
