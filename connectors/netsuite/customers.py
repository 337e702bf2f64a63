"""Writing and finding customers. Open it to see what a sales system may change in NetSuite.

A customer that NetSuite has is only told name, mail and phone; its addresses are NetSuite's own and stay. A new one
is made with addresses, under our id as external id.
"""

from dataclasses import dataclass

from ordermesh.connector.v1 import change_pb2

from connectors.kit.exact_json import JsonObject
from connectors.netsuite.client import NetSuiteClient, external
from connectors.netsuite.mapping import customer as mapping
from connectors.netsuite.mapping import pick
from connectors.netsuite.references import References

RECORD_TYPE = "customer"
FIND = "netsuite.customer_find@1"
_IDENTITY = "entityId,lastModifiedDate"


@dataclass(frozen=True, slots=True)
class Customers:
    """Customers of one account."""

    client: NetSuiteClient
    references: References

    async def upsert(self, change: change_pb2.Change, pinned: str) -> change_pb2.Receipt:
        """Changes the linked customer or the one with this key; makes one when there is none."""
        name, to_body = pick(mapping.UPSERTS, pinned)
        codes = [change.customer.currency_code] if change.customer.currency_code else []
        body = to_body(change.customer, await self.references.currencies(codes))
        found = await self.client.read(
            RECORD_TYPE, change.external_id or external(change.key), fields=_IDENTITY
        )
        if found is None:
            saved = await self.client.upsert(
                RECORD_TYPE, change.key, body, replace="addressBook", to_field=mapping.field_of
            )
            id_, answer, known = saved.id, saved.answer, {}
        else:
            known, id_ = found[0], str(found[0]["id"])
            told: JsonObject = {
                name: body[name] for name in ("companyName", "email", "phone") if name in body
            }
            answer = await self.client.change(RECORD_TYPE, id_, told, to_field=mapping.field_of)
        return change_pb2.Receipt(
            external_id=id_,
            number=str(known.get("entityId", "")),
            verdict=f"{answer.status} saved",
            mapping=name,
            exchange=answer.exchange,
            existed=found is not None,
        )

    async def find(self, key: str) -> change_pb2.Receipt | None:
        """The customer with this key; None when there surely is none."""
        found = await self.client.read(RECORD_TYPE, external(key), fields=_IDENTITY)
        if found is None:
            return None
        customer, answer = found
        return change_pb2.Receipt(
            external_id=str(customer["id"]),
            number=_text(customer, "entityId"),
            version=_text(customer, "lastModifiedDate"),
            verdict=f"{answer.status} found",
            mapping=FIND,
            exchange=answer.exchange,
            existed=True,
        )


def _text(record: JsonObject, name: str) -> str:
    return str(record.get(name, ""))
