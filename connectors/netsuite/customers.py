"""Writing and finding customers. Open it to see what a sales system may change in NetSuite.

A customer that NetSuite has is only told name, mail and phone; its addresses are NetSuite's own and stay. A new one
is made with addresses, under our id as external id. A change that names fields writes these and nothing else: what the
CRM owns, and what a steward has let through.
"""

from dataclasses import dataclass

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.exact_json import JsonObject
from connectors.kit.mappings import pick
from connectors.kit.preview import compared
from connectors.netsuite.client import NetSuiteClient, external
from connectors.netsuite.mapping import customer as mapping
from connectors.netsuite.references import References
from libs.common.errors import Refused

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
        if change.fields:
            return await self._write_fields(change, pinned)
        name, body = await self._body(change, pinned)
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
            answer = await self.client.change(RECORD_TYPE, id_, _told(body), to_field=mapping.field_of)
        return change_pb2.Receipt(
            external_id=id_,
            number=str(known.get("entityId", "")),
            verdict=f"{answer.status} saved",
            mapping=name,
            exchange=answer.exchange,
            existed=found is not None,
        )

    async def _write_fields(self, change: change_pb2.Change, pinned: str) -> change_pb2.Receipt:
        """Changes single fields of a customer. Refused with CUSTOMER_UNKNOWN when NetSuite has none."""
        name, body = await self._body(change, pinned)
        found = await self.client.read(
            RECORD_TYPE, change.external_id or external(change.key), fields=_IDENTITY
        )
        if found is None:
            raise Refused("CUSTOMER_UNKNOWN", "NetSuite has no such customer any more")
        id_ = str(found[0]["id"])
        answer = await self.client.change(RECORD_TYPE, id_, body, to_field=mapping.field_of)
        return change_pb2.Receipt(
            external_id=id_,
            number=_text(found[0], "entityId"),
            verdict=f"{answer.status} saved",
            mapping=name,
            exchange=answer.exchange,
            existed=True,
        )

    async def preview(
        self, change: change_pb2.Change, pinned: str
    ) -> connector_service_pb2.PreviewChangeResponse:
        """What an upsert would change."""
        name, body = await self._body(change, pinned)
        record = change.external_id or external(change.key)
        found = await self.client.read(RECORD_TYPE, record)
        wanted = body if found is None or change.fields else _told(body)
        target = f"netsuite {RECORD_TYPE} {record}"
        return compared(name, target, wanted, found[0] if found else None, change, mapping.field_of)

    async def _body(self, change: change_pb2.Change, pinned: str) -> tuple[str, JsonObject]:
        """Name of the mapping and what it makes of the change."""
        if change.fields:
            name, to_fields = pick(mapping.FIELDS, pinned)
            return name, to_fields(change.customer, change.fields)
        name, to_body = pick(mapping.UPSERTS, pinned)
        codes = [change.customer.currency_code] if change.customer.currency_code else []
        return name, to_body(change.customer, await self.references.currencies(codes))

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


def _told(body: JsonObject) -> JsonObject:
    """What a customer that NetSuite has is told."""
    return {name: body[name] for name in ("companyName", "email", "phone") if name in body}


def _text(record: JsonObject, name: str) -> str:
    return str(record.get(name, ""))
