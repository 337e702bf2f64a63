"""`ordermesh exceptions` asks the gateway for what it says it does, and shows what came back."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from libs.cli import session
from libs.cli.__main__ import build
from libs.cli.api import Api

Answer = Callable[[httpx.Request], object]
ITEM = {
    "deliveryId": "order.7",
    "subject": "orders/ord_1",
    "target": "connector:netsuite",
    "state": "DELIVERY_STATE_PARKED",
    "reason": "CREDIT_HOLD",
    "parkTime": "2026-03-01T12:00:00Z",
    "ageSeconds": "97380",
    "fourEyes": True,
}
ASKED = {
    **ITEM,
    "approval": {
        "requestId": "req_1",
        "act": "EXCEPTION_ACT_REPLAY",
        "requestedBy": "anna",
        "reason": "paid today",
        "expireTime": "2026-03-04T12:00:00Z",
    },
}


class Gateway:
    """Answers by path; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[object]] = {}
        """Method and path to answers, the last of which stays."""
        self.asked: list[tuple[str, object]] = []

    def take(self, request: httpx.Request) -> httpx.Response:
        key = f"{request.method} {request.url.path}"
        self.asked.append((key, json.loads(request.content) if request.content else dict(request.url.params)))
        waiting = self.answers[key]
        return httpx.Response(200, json=waiting.pop(0) if len(waiting) > 1 else waiting[0])


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A mesh that consists of what a test says it answers."""
    gateway = Gateway()

    @asynccontextmanager
    async def connected(*around: object) -> AsyncIterator[Api]:
        transport = httpx.MockTransport(gateway.take)
        async with httpx.AsyncClient(transport=transport, base_url="http://mesh") as client:
            yield Api(client)

    monkeypatch.setattr(session, "connected", connected)
    monkeypatch.setattr(session, "find", lambda data, around: (None, None))
    return gateway


def run(*words: str, says: str = "") -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "300"}).invoke(build(), ["exceptions", *words], input=says)
    return result.exit_code, result.stdout


def test_the_list_tells_age_and_who_must_agree(gateway: Gateway) -> None:
    plain = {**ITEM, "deliveryId": "order.8", "reason": "ERP_REFUSED", "fourEyes": False, "ageSeconds": "61"}
    gateway.answers["GET /v1/exceptions"] = [{"exceptions": [ITEM, ASKED, plain]}]
    code, told = run("list")
    assert code == 0
    lines = told.splitlines()
    assert "1d 3h" in lines[1]
    assert "needs two" in lines[1]
    assert "replay by anna" in lines[2]
    assert "1m 1s" in lines[3]


def test_a_preview_shows_each_field_old_and_new(gateway: Gateway) -> None:
    gateway.answers["GET /v1/exceptions/order.7/preview"] = [
        {
            "exception": ITEM,
            "preview": {
                "base": "PREVIEW_BASE_HELD_NOW",
                "mapping": "netsuite.sales_order@1",
                "differences": [
                    {"target": "netsuite salesOrder eid:ord_1", "path": "memo", "newValue": "[b]hello[/b]"}
                ],
            },
        }
    ]
    code, told = run("preview", "order.7", "--mapping", "netsuite.sales_order@1")
    assert code == 0
    assert gateway.asked[-1][1] == {"pinnedMapping": "netsuite.sales_order@1"}
    assert "held now" in told
    assert "[b]hello[/b]" in told


def test_a_reveal_says_why_and_shows_what_came_back(gateway: Gateway) -> None:
    gateway.answers["POST /v1/exceptions/order.7:reveal"] = [{"request": "asked [b]", "response": "said"}]
    assert run("reveal", "order.7")[0] != 0
    assert not gateway.asked
    code, told = run("reveal", "order.7", "--reason", "she called", "--attempt", "2")
    assert (code, told.splitlines()) == (0, ["asked [b]", "said"])
    assert gateway.asked[-1][1] == {"reason": "she called", "attempt": 2}


def test_a_preview_says_for_what_it_would_fail_again(gateway: Gateway) -> None:
    refused = {"preview": {"refusalReason": "TAX_CODE_UNKNOWN", "refusalDetail": "no such code"}}
    gateway.answers["GET /v1/exceptions/order.7/preview"] = [refused]
    assert "would fail again: TAX_CODE_UNKNOWN: no such code" in run("preview", "order.7")[1]


def test_a_replay_that_needs_two_says_so(gateway: Gateway) -> None:
    gateway.answers["POST /v1/exceptions/order.7:replay"] = [{"exception": ASKED}]
    code, told = run("replay", "order.7", "--reason", "paid today")
    assert code == 0
    assert gateway.asked[-1][1] == {"reason": "paid today", "pinnedMapping": ""}
    assert "waits for a second person" in told


def test_a_bulk_replay_is_followed_to_its_end(gateway: Gateway) -> None:
    gateway.answers["POST /v1/exceptions:replay"] = [
        {"replayed": 3, "replayIds": ["order.rpl_1"], "awaitingApproval": 2}
    ]
    done = {"items": 3, "waiting": 0, "delivered": 2, "parked": 1}
    gateway.answers["GET /v1/replays/order.rpl_1"] = [{"replay": done}]
    code, told = run("replay-many", "--filter", "reason = CRASHED", "--per-second", "5", "--wait")
    assert code == 0
    assert gateway.asked[0][1] == {
        "filter": "reason = CRASHED",
        "itemsMax": 1000,
        "perSecond": 5,
        "pinnedMapping": "",
        "reason": "",
    }
    assert "2 delivered, 1 parked again" in told
    assert "3 due again" in told
    assert "2 wait for a second person" in told


def test_an_edit_sends_the_file_and_shows_what_differs(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "mended.json"
    file.write_text('{"version": "1"}')
    gateway.answers["POST /v1/exceptions/invoice.7:edit"] = [
        {"exception": ITEM, "differences": [{"path": "customer.name", "newValue": "Ann"}]}
    ]
    code, told = run("edit", "invoice.7", "--file", str(file), "--reason", "as told", "--check")
    assert code == 0
    assert gateway.asked[-1][1] == {
        "payload": '{"version": "1"}',
        "reason": "as told",
        "validateOnly": True,
    }
    assert "customer.name" in told
    assert "nothing was changed" in told


def test_the_payload_is_all_that_stands_on_standard_output(gateway: Gateway) -> None:
    gateway.answers["GET /v1/exceptions/invoice.7"] = [
        {"exception": ITEM, "payload": '{\n  "version": "1"\n}'}
    ]
    code, told = run("show", "invoice.7", "--payload")
    assert (code, json.loads(told)) == (0, {"version": "1"})


def test_an_approval_is_of_the_request_that_was_shown_and_asked_about(gateway: Gateway) -> None:
    gateway.answers["GET /v1/exceptions/order.7"] = [{"exception": ASKED}]
    gateway.answers["POST /v1/exceptions/order.7:approve"] = [
        {"exception": {**ITEM, "state": "DELIVERY_STATE_IN_DOUBT"}}
    ]
    code, told = run("approve", "order.7", says="n\n")
    assert (code, len(gateway.asked)) == (1, 1)
    assert "replay by anna, because: paid today" in told

    code, told = run("approve", "order.7", "--reason", "seen", says="y\n")
    assert code == 0
    assert gateway.asked[-1][1] == {"requestId": "req_1", "reason": "seen"}
    assert "approved: in_doubt" in told


def test_remarks_and_discards_take_many_and_tell_how_many(gateway: Gateway) -> None:
    for item in ("order.7", "order.8"):
        gateway.answers[f"POST /v1/exceptions/{item}:comment"] = [{"exception": ITEM}]
        gateway.answers[f"POST /v1/exceptions/{item}:discard"] = [{"exception": ITEM}]
    assert "2 of 2 commented" in run("comment", "order.7", "order.8", "--text", "asked finance")[1]
    assert "2 of 2 discarded" in run("discard", "order.7", "order.8", "--reason", "posted by hand")[1]


def test_a_steward_lets_proposals_through_or_not_one_after_the_other(gateway: Gateway) -> None:
    proposal = {**ITEM, "deliveryId": "customer.9", "reason": "CHANGE_PROPOSED"}
    gateway.answers["GET /v1/exceptions"] = [{"exceptions": [proposal]}]
    gateway.answers["POST /v1/exceptions/customer.9:accept"] = [{"exception": proposal}]
    gateway.answers["POST /v1/exceptions/customer.9:reject"] = [{"exception": proposal}]
    assert "1 of 1 accepted" in run("accept", "--all")[1]
    assert ("GET /v1/exceptions", "reason = CHANGE_PROPOSED") in [
        (path, asked.get("filter")) for path, asked in gateway.asked if isinstance(asked, dict)
    ]
    assert "1 of 1 rejected" in run("reject", "customer.9", "--reason", "a typing error")[1]
    assert gateway.asked[-1][1] == {"reason": "a typing error"}
    assert run("reject", "customer.9")[0] == 2


def test_candidates_stand_side_by_side_and_a_steward_links_or_keeps_apart(gateway: Gateway) -> None:
    gateway.answers["GET /v1/exceptions/customer.7/candidates"] = [
        {
            "ref": {"system": "salesforce", "externalId": "001"},
            "incoming": {"name": "ACME Tools", "billTo": {"lines": ["Main St 12"], "postalCode": "62704"}},
            "candidates": [
                {
                    "customer": {"customerId": "cus_1", "number": "C-1", "name": "Acme Tools Inc."},
                    "score": 97,
                    "matched": ["name", "address"],
                }
            ],
        }
    ]
    gateway.answers["POST /v1/exceptions/customer.7:link"] = [{"customer": {"customerId": "cus_1"}}]
    gateway.answers["POST /v1/exceptions/customer.7:keepApart"] = [{"exception": ITEM}]

    lines = run("candidates", "customer.7")[1].splitlines()
    assert "salesforce 001" in lines[1]
    assert "Main St 12, 62704" in lines[1]
    assert all(part in lines[2] for part in ("cus_1", "97", "name, address", "C-1"))
    assert "customer.7 linked to cus_1" in run("link", "customer.7", "--to", "cus_1", "--reason", "seen")[1]
    assert gateway.asked[-1][1] == {"customerId": "cus_1", "reason": "seen"}
    assert "1 of 1 kept apart" in run("keep-apart", "customer.7", "--reason", "a branch")[1]
