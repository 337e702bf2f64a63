"""The verdict is what the ledgers say, and names what is wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.cli.demo.faults import Wish
from libs.cli.demo.goods import draw_goods
from libs.cli.demo.proof import Verdict, judge, never_backwards
from libs.cli.demo.report import count_tries, figures, last_line, percentile
from libs.cli.demo.story import Outcome
from libs.cli.demo.submission import Acceptance, Tally
from libs.cli.demo.vendors import Ledger, LedgerDocument, Traffic
from libs.cli.demo.watch import Lineage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN = {"PO-1": "ord_1", "PO-2": "ord_2"}
WAY = ("POSTED", "SHIPPED", "INVOICED", "PAID")


def erp_order(order_id: str, reference: str, number: str = "1") -> LedgerDocument:
    return LedgerDocument(
        kind="salesOrder", id=number, externalId=order_id, createdAt=NOON, reference=reference
    )


def crm_order(order_id: str | None, *history: str) -> LedgerDocument:
    return LedgerDocument(
        kind="Order",
        id="801",
        externalId=order_id,
        createdAt=NOON,
        Ordermesh_Order_Id__c=order_id,
        ERP_Status__c=history[-1] if history else None,
        history=history,
    )


ERP = [erp_order("ord_1", "PO-1"), erp_order("ord_2", "PO-2")]
CRM = [crm_order("ord_1", *WAY), crm_order("ord_2", *WAY)]


def verdict(erp: list[LedgerDocument], crm: list[LedgerDocument], submitted: int = 2) -> Verdict:
    return judge(KNOWN, submitted, erp, crm)


def test_every_order_once_in_the_erp_and_paid_in_salesforce_holds() -> None:
    proved = verdict(ERP, CRM)
    assert proved == Verdict(orders=2, paid=2, duplicates=0, lost=0, faults=())
    assert proved.holds


def test_a_second_erp_document_with_the_same_key_is_a_duplicate() -> None:
    proved = verdict([*ERP, erp_order("ord_2", "PO-2", "3")], CRM)
    assert (proved.duplicates, proved.holds) == (1, False)
    assert "ord_2" in proved.faults[0]


def test_a_second_erp_document_under_another_key_is_a_duplicate_of_its_purchase_order() -> None:
    assert verdict([*ERP, erp_order("ord_9", "PO-2", "3")], CRM).duplicates == 2


def test_a_second_order_in_salesforce_is_a_duplicate() -> None:
    assert verdict(ERP, [*CRM, crm_order("ord_1", *WAY)]).duplicates == 1


def test_an_order_that_is_missing_on_one_side_is_lost() -> None:
    assert verdict(ERP[:1], CRM).lost == 1
    assert verdict(ERP, CRM[:1]).lost == 1
    assert "not in Salesforce" in verdict(ERP, CRM[:1]).faults[0]


def test_an_order_in_salesforce_that_was_never_linked_does_not_count() -> None:
    assert verdict(ERP, [CRM[0], crm_order(None)]).lost == 1


def test_an_order_that_was_never_acknowledged_is_lost() -> None:
    assert verdict(ERP, CRM, submitted=3).lost == 1


@pytest.mark.parametrize(
    ("history", "told"),
    [
        (("POSTED", "SHIPPED"), "reads SHIPPED"),
        ((), "reads nothing"),
        (("POSTED", "PAID", "PAID"), "2 times"),
        (("POSTED", "SHIPPED", "POSTED", "PAID"), "backwards"),
        (("POSTED", "Sent by pigeon", "PAID"), "backwards"),
    ],
)
def test_an_order_that_does_not_read_paid_as_it_should_is_named(history: tuple[str, ...], told: str) -> None:
    proved = verdict(ERP, [CRM[0], crm_order("ord_2", *history)])
    assert (proved.paid, proved.holds) == (1, False)
    assert told in proved.faults[0]


def test_a_hold_on_the_way_is_no_step_back() -> None:
    assert never_backwards(("RECEIVED", "ON_HOLD", "POSTED", "PAID"))
    assert never_backwards(("POSTED", "ON_HOLD", "SHIPPED"))


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50.0, 99.0, 0.0)
    assert percentile([3.0], 0.99) == 3.0


def test_the_last_line_counts_unequal_answers_as_duplicates() -> None:
    outcome = Outcome(tally=Tally(unequal=["PO-1"]), verdict=verdict(ERP, CRM))
    told = last_line(outcome, 2, timedelta(seconds=61.234))
    assert told == '{"orders": 2, "paid": 2, "duplicates": 1, "lost": 0, "seconds": 61.2}'


def test_without_a_verdict_everything_counts_as_lost() -> None:
    wish = Wish(orders=200, seed=7)
    assert '"paid": 0, "duplicates": 0, "lost": 200' in last_line(Outcome(), wish.orders, timedelta(0))


def test_the_table_tells_times_from_the_erps_own_clock() -> None:
    order = draw_goods(7, 1).orders[0]
    sent = Acceptance(order, "ord_1", NOON - timedelta(seconds=2), timedelta(milliseconds=15))
    ledger = Ledger(counts={}, documents=ERP, requests=Traffic(), concurrencyMax=4)
    told = dict(figures(Outcome(tally=Tally(accepted=[sent]), erp=ledger)))
    assert told["acknowledged after, p50 / p99"] == "15.0 / 15.0 ms"
    assert told["in the ERP after, p50 / p99"] == "2.0 / 2.0 s"


def test_doubts_count_as_resolved_once_delivered() -> None:
    lineage = Lineage.model_validate(
        {
            "deliveries": [
                {"deliveryId": "order.1", "state": "DELIVERY_STATE_DELIVERED"},
                {"deliveryId": "order.2", "state": "DELIVERY_STATE_IN_DOUBT"},
            ],
            "attempts": [
                {"deliveryId": "order.1", "outcome": "retrying"},
                {"deliveryId": "order.1", "outcome": "in_doubt"},
                {"deliveryId": "order.1", "outcome": "found"},
                {"deliveryId": "order.2", "outcome": "in_doubt"},
            ],
        }
    )
    assert count_tries([lineage, lineage]) == {"retried": 2, "in_doubt": 4, "resolved": 2, "parked": 0}
