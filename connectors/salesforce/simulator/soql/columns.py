"""Field paths to values: open this when `Account.Name` finds the wrong field or the wrong parent."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.salesforce.simulator import computed, errors
from connectors.salesforce.simulator.catalog import Field, SObject, find_object
from connectors.salesforce.simulator.catalog.fields import Scalar, Values
from connectors.salesforce.simulator.org import Transaction

from .syntax import Path

_PARENTS_MAX = 5  # Salesforce's own limit on the length of a path.


@dataclass(frozen=True)
class Column:
    """A field reached over zero or more parents."""

    parents: tuple[Field, ...]
    owner: SObject  # The object that has the field.
    field: Field

    @property
    def names(self) -> tuple[str, ...]:
        """The exact names as they appear in the answer."""
        return (*(parent.relationship for parent in self.parents), self.field.name)


def resolve(sobject: SObject, alias: str, path: Path) -> Column:
    """The column a path means, in any letter case, with or without the object's name or alias in front."""
    if len(path) > 1 and path[0].lower() in (alias.lower(), sobject.name.lower()):
        own = alias or sobject.find_relationship(path[0]) is None
        path = path[1:] if own else path
    if len(path) > _PARENTS_MAX + 1:
        raise errors.no_such_relationship(path[_PARENTS_MAX], sobject.name)
    parents: list[Field] = []
    owner = sobject
    for name in path[:-1]:
        reference = owner.find_relationship(name)
        parent = find_object(reference.refers_to) if reference else None
        if reference is None or parent is None:
            raise errors.no_such_relationship(name, owner.name)
        parents.append(reference)
        owner = parent
    field = owner.find_field(path[-1])
    if field is None:
        raise errors.no_such_column_in_query(path[-1], owner.name)
    return Column(tuple(parents), owner, field)


def parent_of(tx: Transaction, sobject: SObject, reference: Field, values: Values) -> Values | None:
    parent_id = computed.value_of(tx, sobject, reference, values)
    return tx.get(reference.refers_to, parent_id) if isinstance(parent_id, str) else None


def value_at(tx: Transaction, sobject: SObject, column: Column, values: Values) -> Scalar:
    """The column's value for this record; None when a parent on the way is missing."""
    here, owner = values, sobject
    for reference in column.parents:
        parent = parent_of(tx, owner, reference, here)
        if parent is None:
            return None
        here = parent
        found = find_object(reference.refers_to)
        assert found is not None
        owner = found
    return computed.value_of(tx, owner, column.field, here)
