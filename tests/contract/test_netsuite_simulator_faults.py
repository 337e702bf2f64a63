"""Login, fault switches and restarts of the simulated NetSuite account."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from connectors.kit.simulator import serving
from connectors.netsuite.simulator.app import build
from connectors.netsuite.simulator.auth import Integration
from tests.contract.netsuite_account import (
    KEY,
    MASTER_DATA,
    RECORD,
    TLS,
    NetSuite,
    account,
    ask_for_token,
    assertion,
    code,
    log_in,
)

ROOT = Path(__file__).resolve().parents[2]
Kill = Callable[[], None]


@pytest.fixture
async def netsuite() -> AsyncIterator[NetSuite]:
    async with account() as client:
        yield client


# Who may call


async def test_without_a_token_nothing_is_answered(netsuite: NetSuite) -> None:
    del netsuite.http.headers["Authorization"]
    answer = await netsuite.http.get(f"{RECORD}/salesOrder")
    assert (answer.status_code, code(answer)) == (401, "INVALID_LOGIN")


async def test_an_account_with_a_key_trusts_that_key_only() -> None:
    integration = Integration(client_id="client", certificate_id="cert", public_key=KEY)
    async with (
        serving(build(integration=integration)) as url,
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        assert (await ask_for_token(http, assertion(url))).status_code == 200
        bad = [
            assertion(url, key=ECKey.generate_key("P-256")),
            assertion(url, iss="somebody"),
            assertion(url, exp=int(time.time()) + 7200),
            assertion(url, exp=int(time.time()) - 120),
            assertion(url, aud="https://elsewhere.example/token"),
            assertion(url, scope=["restlets"]),
            "no.jwt.atall",
        ]
        answers = [await ask_for_token(http, signed) for signed in bad]
        assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [
            (400, "invalid_grant")
        ] * 7


@pytest.mark.parametrize(("alg", "status"), [("PS256", 200), ("RS256", 400)])
async def test_rsa_assertions_must_be_pss(alg: str, status: int) -> None:
    key = RSAKey.generate_key(2048)
    async with serving(build()) as url, httpx.AsyncClient(verify=TLS, base_url=url) as http:
        assert (await ask_for_token(http, assertion(url, key=key, alg=alg))).status_code == status


async def test_tokens_expire() -> None:
    async with account(build(integration=Integration(token_seconds=-1))) as netsuite:
        assert (await netsuite.http.get(f"{RECORD}/customer")).status_code == 401


# Faults


async def test_a_lost_reply_has_committed(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="lose_reply", method="PUT")
    with pytest.raises(httpx.RemoteProtocolError):
        await netsuite.put("ord_1")
    assert len(await netsuite.documents("salesOrder")) == 1
    assert (await netsuite.put("ord_1")).status_code == 204
    assert len(await netsuite.documents("salesOrder")) == 1


async def test_a_reset_touches_nothing(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="reset", path="/salesOrder/")
    with pytest.raises(httpx.ReadError):
        await netsuite.put("ord_1")
    assert await netsuite.documents("salesOrder") == []


async def test_unavailable_comes_before_or_after_the_commit(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="unavailable")
    await netsuite.fault(kind="unavailable_after", after=1)
    assert (await netsuite.put("ord_1")).status_code == 503
    assert await netsuite.documents("salesOrder") == []
    assert (await netsuite.put("ord_1")).status_code == 204
    assert (await netsuite.put("ord_2")).status_code == 503
    assert len(await netsuite.documents("salesOrder")) == 2


async def test_throttling_is_worded_as_oracle_words_it(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="throttle", retryAfter="Wed, 21 Oct 2026 07:28:00 GMT")
    await netsuite.fault(kind="throttle")
    first, second = await netsuite.put("ord_1"), await netsuite.put("ord_1")
    assert (first.status_code, code(first)) == (429, "CONCURRENCY_LIMIT_EXCEEDED")
    assert first.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert "Retry-After" not in second.headers
    assert (await netsuite.put("ord_1")).status_code == 204


async def test_an_expired_token_stays_expired(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="expired_token")
    assert (await netsuite.put("ord_1")).status_code == 401
    assert (await netsuite.put("ord_1")).status_code == 401
    await log_in(netsuite.http)
    assert (await netsuite.put("ord_1")).status_code == 204


async def test_a_slow_answer_has_committed_when_the_caller_gave_up(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="slow", seconds=0.05)
    with pytest.raises(httpx.ReadTimeout):
        await netsuite.http.put(f"{RECORD}/salesOrder/eid:ord_1", json=netsuite.order(), timeout=0.02)
    async with asyncio.timeout(5):
        while not await netsuite.documents("salesOrder"):
            pass


async def test_the_sixth_parallel_request_is_refused(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="slow", seconds=0.2, count=0)
    answers = await asyncio.gather(*(netsuite.put(f"ord_{number}") for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [204, 204, 204, 204, 204, 429]
    ledger = await netsuite.ledger()
    assert ledger["concurrencyMax"] == 6


async def test_faults_are_listed_with_their_hits_and_cleared(netsuite: NetSuite) -> None:
    await netsuite.fault(kind="throttle", count=2, after=1, method="put")
    for number in range(3):
        await netsuite.put(f"ord_{number}")
    listed = (await netsuite.http.get("/_sim/faults")).json()["faults"]
    assert [(fault["kind"], fault["seen"], fault["hits"]) for fault in listed] == [("throttle", 3, 2)]
    assert (await netsuite.http.delete("/_sim/faults")).json() == {"cleared": 1}
    assert (await netsuite.http.get("/_sim/faults")).json() == {"faults": []}


async def test_drawn_faults_repeat_with_their_seed(netsuite: NetSuite) -> None:
    runs = []
    for _ in range(2):
        await netsuite.fault(kind="throttle", probability="0.5", seed=7, method="PUT")
        runs.append([(await netsuite.put(f"ord_{number}")).status_code for number in range(12)])
        await netsuite.http.delete("/_sim/faults")
    assert runs[0] == runs[1]
    assert {204, 429} == set(runs[0])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode"},
        {"kind": "slow", "retryafter": "1"},
        {"kind": "slow", "seconds": -1},
        {"kind": "throttle", "probability": "2"},
        {"kind": "throttle", "path": "("},
        {"kind": "throttle", "retryAfter": "1\r\nX: y"},
        ["throttle"],
    ],
)
async def test_a_misspelt_fault_is_refused(netsuite: NetSuite, fault: object) -> None:
    answer = await netsuite.http.post("/_sim/faults", json=fault)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


# The process


async def test_documents_ids_and_tokens_survive_kill_9(tmp_path: Path) -> None:
    async with (
        process(tmp_path / "state.db") as (url, kill),
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        seeded = (await http.post("/_sim/seed", json=MASTER_DATA)).json()
        await log_in(http)
        token = http.headers["Authorization"]
        first = NetSuite(http, seeded)
        assert (await first.put("ord_1")).status_code == 204
        kill()
    async with (
        process(tmp_path / "state.db") as (url, _),
        httpx.AsyncClient(verify=TLS, base_url=url) as http,
    ):
        http.headers["Authorization"] = token
        netsuite = NetSuite(http, seeded)
        assert [doc["externalId"] for doc in await netsuite.documents("salesOrder")] == ["ord_1"]
        again, other = await netsuite.put("ord_1"), await netsuite.put("ord_2")
        assert again.headers["Location"].endswith("/1501")
        assert other.headers["Location"].endswith("/1502")


@asynccontextmanager
async def process(state: Path) -> AsyncIterator[tuple[str, Kill]]:
    """The simulator as `ordermesh up` starts it."""
    command = [sys.executable, "-m", "connectors.netsuite.simulator", "--port", "0", "--state", str(state)]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        line = (await child.stdout.readline()).decode()
        yield line.removeprefix("listening on ").strip(), child.kill
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
