"""What every org has from its first day: itself, two users and the standard price book."""

from __future__ import annotations

from collections.abc import Iterable

from .auth import Users
from .catalog import SObject, find_object
from .catalog.fields import Values
from .org import ORG_ID, Org, Session, Transaction

_NOBODY = Session("")


def furnish(org: Org) -> Users:
    """Makes what is missing and tells who the users are."""
    with org.transaction(_NOBODY, counted=False) as tx:
        if not tx.scan("Organization"):
            _put(tx, "Organization", ORG_ID, {"Name": "Simulator Org", "InstanceName": "SIM1"})
        if not tx.scan("User"):
            for username in (Users("", "").integration_name, Users("", "").sales_name):
                name = username.partition("@")[0].title()
                values: Values = {"Username": username, "Email": username, "LastName": name, "Name": name}
                _put(tx, "User", tx.next_id(_object("User")), values)
        if not tx.scan("Pricebook2"):
            record_id = tx.next_id(_object("Pricebook2"))
            book: Values = {"Name": "Standard Price Book", "IsActive": True, "IsStandard": True}
            _put(tx, "Pricebook2", record_id, book)
        integration, sales = (str(values["Id"]) for values in _first(tx.scan("User"), 2))
    return Users(integration, sales)


def standard_pricebook(tx: Transaction) -> str:
    return str(next(values["Id"] for values in tx.scan("Pricebook2") if values["IsStandard"]))


def _put(tx: Transaction, name: str, record_id: str, given: Values) -> None:
    sobject = _object(name)
    values: Values = {field.name: field.default for field in sobject.fields.values() if not field.computed}
    stamps: Values = {"CreatedDate": tx.now, "LastModifiedDate": tx.now, "SystemModstamp": tx.now}
    tx.put(sobject, {**values, **given, **stamps, "Id": record_id})


def _object(name: str) -> SObject:
    sobject = find_object(name)
    assert sobject is not None
    return sobject


def _first(found: Iterable[Values], count: int) -> list[Values]:
    return list(found)[:count]
