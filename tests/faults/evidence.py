"""Everything that is known about a run, brought together and judged. Open it to see which witnesses are heard.

The client's log, the ERP's ledger, the CRM's ledger and the tables of all services make one `History`; the history
checker and the demo's own verdict on the two ledgers must both have nothing to say.
"""

from collections.abc import Sequence
from dataclasses import replace

from libs.cli.demo.proof import CRM_KIND, ERP_KIND, judge
from libs.cli.demo.vendors import LedgerDocument, Vendor
from libs.common.testing.history import Acknowledged, CrmRecord, ErpDocument, History, check
from libs.common.testing.ledger import Tables
from tests.faults.batch import Batch

ERP, CRM = "netsuite", "salesforce"


async def objections_of(batches: Sequence[Batch], erp: Vendor, crm: Vendor, tables: Tables) -> list[str]:
    """All contradictions in words; empty when nothing was lost, doubled or turned back."""
    documents = (await erp.ledger(ERP_KIND)).documents
    records = (await crm.ledger(CRM_KIND)).documents
    accepted = [each for batch in batches for each in batch.tally.accepted]
    history = replace(
        await tables.history(ERP),
        acknowledged=[Acknowledged(each.order.purchase_order, each.order_id) for each in accepted],
        erp=[erp_document(document) for document in documents],
        crm=[crm_record(record) for record in records],
    )
    known = {each.order.purchase_order: each.order_id for each in accepted}
    verdict = judge(known, sum(len(batch.parcels) for batch in batches), documents, records)
    unequal = [reference for batch in batches for reference in batch.tally.unequal]
    return [
        *(str(objection) for objection in check(history)),
        *verdict.faults,
        *(f"{reference} was answered differently the second time" for reference in unequal),
        *_silent(history),
    ]


def erp_document(document: LedgerDocument) -> ErpDocument:
    return ErpDocument(document.id, document.external_id or "")


def crm_record(record: LedgerDocument) -> CrmRecord:
    states = tuple(word.strip().upper().replace(" ", "_") for word in record.history)
    return CrmRecord(record.id, record.order_id or "", states)


def _silent(history: History) -> list[str]:
    """A checker that was shown nothing has nothing to object to."""
    shown = {
        "acknowledgement": history.acknowledged,
        "ERP document": history.erp,
        "CRM record": history.crm,
        "order": history.orders,
        "event": history.events,
        "delivery": history.deliveries,
        "audit row": history.audit,
    }
    return [f"no {name} was seen at all" for name, rows in shown.items() if not rows]
