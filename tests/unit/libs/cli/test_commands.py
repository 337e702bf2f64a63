"""Commands say what is wrong, end with the right code and print nothing that a script would stumble over."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ordermesh.common.v1 import error_reason_pb2
from ordermesh.operations.v1 import operations_pb2
from rich.console import Console
from typer.testing import CliRunner

from libs.cli.__main__ import build
from libs.cli.api import Api, Problem, Unreachable, problem_in
from libs.cli.exceptions.tables import exception_table
from libs.cli.instance import DataDir, ProcessRecord, RunRecord
from libs.cli.keys import make_keys
from libs.cli.status import metrics_table, process_rows

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., "tuple[int, str, str]"]:
    """Runs the command in a home where no mesh was ever started."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(build(), list(words))
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.mark.parametrize(
    "words",
    [
        ("orders", "watch", "--once"),
        ("orders", "show", "ord_1"),
        ("orders", "trace", "ord_1"),
        ("exceptions", "list"),
    ],
    ids=" ".join,
)
def test_without_a_mesh_a_command_says_how_to_start_one(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...]
) -> None:
    code, out, told = run(*words)
    assert (code, out) == (3, "")
    assert "ordermesh up" in told


def test_a_token_is_all_that_stands_on_standard_output(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    data = DataDir(tmp_path / "data")
    make_keys_in(data)
    with data.lock():
        code, out, _ = run("token", "--data", str(data.root), "--system", "salesforce")
        refused, nothing, told = run("token", "--data", str(data.root), "--role", "king")
    assert code == 0
    assert out.count(".") == 2
    assert out.split() == [out.strip()]
    assert (refused, nothing) == (1, "")
    assert "no such role" in told


def make_keys_in(data: DataDir) -> None:
    data.root.mkdir()
    data.write(RunRecord(pid=1, base_url="http://127.0.0.1:1"))
    make_keys(data.keys)


def test_down_without_a_mesh_is_no_failure(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("down")[0] == 0


@pytest.mark.parametrize("words", [(), ("order.1", "--all")], ids=["neither", "both"])
def test_acting_on_exceptions_takes_ids_or_all(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...]
) -> None:
    code, _, told = run("exceptions", "replay", *words)
    assert code == 2
    assert "not both" in told


def test_a_process_whose_pid_is_gone_says_so() -> None:
    records = [
        ProcessRecord("order", "service", "ready", 2**22 + 1, "127.0.0.1:1", 2, ("python",), ""),
        ProcessRecord("gateway", "gateway", "waiting", 0, "", 0, ("python",), ""),
    ]
    rows = process_rows(records)
    assert [(row.name, row.state, row.pid) for row in rows] == [
        ("order", "gone", str(2**22 + 1)),
        ("gateway", "waiting", "-"),
    ]


def test_status_says_where_each_process_tells_its_metrics() -> None:
    told = ProcessRecord("order", "service", "ready", 7, "127.0.0.1:1", 0, (), "", "127.0.0.1:9")
    silent = ProcessRecord("postgres", "store", "ready", 8, "127.0.0.1:2", 0, (), "")
    record = RunRecord(pid=1, base_url="http://127.0.0.1:3", processes=(told, silent))
    console = Console(width=200)
    with console.capture() as capture:
        console.print(metrics_table(record))
    assert "http://127.0.0.1:9/metrics" in capture.get() and "postgres" not in capture.get()


def test_an_exception_is_shown_with_class_and_owner() -> None:
    item = operations_pb2.Delivery(
        delivery_id="order.7",
        reason="TAX_CODE_UNKNOWN",
        failure_class=error_reason_pb2.FAILURE_CLASS_BUSINESS,
        owner=error_reason_pb2.OWNER_TEAM_MASTER_DATA,
        detail="[red]not markup",
    )
    console = Console(width=200)
    with console.capture() as capture:
        console.print(exception_table([item]))
    for part in ("order.7", "TAX_CODE_UNKNOWN", "business", "master-data", "[red]not markup"):
        assert part in capture.get()


def api_of(handler: Handler) -> Api:
    return Api(httpx.AsyncClient(base_url="http://mesh", transport=httpx.MockTransport(handler)))


async def test_exceptions_are_read_page_by_page_up_to_the_limit() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        items = [{"deliveryId": f"order.{len(asked)}{place}"} for place in range(2)]
        return httpx.Response(200, json={"exceptions": items, "nextPageToken": f"t{len(asked)}"})

    found = await api_of(answer).list_exceptions("reason = X", limit=3)

    assert [item.delivery_id for item in found] == ["order.10", "order.11", "order.20"]
    assert asked == ["pageSize=3&filter=reason+%3D+X", "pageSize=1&pageToken=t1&filter=reason+%3D+X"]


async def test_each_repetition_of_a_command_by_a_person_has_its_own_key() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        assert json.loads(request.content) == {"assignee": "ann"}
        return httpx.Response(200, json={"exception": {"assignee": "ann"}})

    api = api_of(answer)
    assert (await api.assign_exception("order.1", "ann")).assignee == "ann"
    await api.assign_exception("order.1", "ann")
    assert len(set(keys)) == 2


async def test_a_problem_is_told_with_code_detail_and_owner() -> None:
    problem = {"code": "NOT_FOUND", "detail": "there is no such order", "owner": "caller"}
    with pytest.raises(Problem, match=r"NOT_FOUND \(404\): there is no such order \(owner: caller\)"):
        await api_of(lambda request: httpx.Response(404, json=problem)).get_order("ord_1")


def test_an_answer_that_is_no_problem_document_is_told_by_its_status() -> None:
    assert "Bad Gateway (502)" in str(problem_in(httpx.Response(502, text="<html>")))


async def test_a_gateway_that_does_not_answer_is_told_from_one_that_refuses() -> None:
    def lost(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match="ConnectError"):
        await api_of(lost).get_queues()
    assert not await api_of(lost).is_ready()
