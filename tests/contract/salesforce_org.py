"""One simulated Salesforce org and simple-salesforce led to it: what the contract tests of the simulator share.

The simulator runs in a thread of its own because simple-salesforce blocks. Its `https://` URLs are led to the plain
port by a transport adapter, the way any client can be led there.
"""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from queue import Queue
from typing import Any, cast

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from urllib3.util import Retry

from connectors.kit.simulator import serving
from connectors.salesforce.simulator.app import Options, build
from connectors.salesforce.simulator.tls import Tls, serving_tls

ROOT = Path(__file__).parents[2]


class Org:
    """One simulated org and the clients of a test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.control = requests.Session()
        # A process announces its port a moment before it listens.
        self.control.mount("http://", HTTPAdapter(max_retries=Retry(connect=20, backoff_factor=0.05)))

    def client(self, **login: Any) -> Any:  # Its own types do not know that `client.Account` is an object.
        session = requests.Session()
        session.mount("https://", _ToPlainPort(self.url))
        login = login or {"consumer_key": "ordermesh", "consumer_secret": "secret"}
        return Salesforce(domain="127.0.0.1:8443/x", session=session, **login)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, object]:
        answer = self.control.post(self.url + path, json=body, timeout=10)
        assert answer.ok, answer.text
        return cast(dict[str, object], answer.json())

    def get(self, path: str) -> dict[str, object]:
        answer = self.control.get(self.url + path, timeout=10)
        assert answer.ok, answer.text
        return cast(dict[str, object], answer.json())

    def ledger(self, kind: str) -> list[dict[str, object]]:
        return cast(list[dict[str, object]], self.get(f"/_sim/ledger?kind={kind}")["documents"])

    def fault(self, **fault: object) -> None:
        self.post("/_sim/faults", fault)

    def seeded(self, *, orders: int = 0) -> dict[str, list[dict[str, str]]]:
        """One account, one product priced at 12.50, and orders of two pieces each."""
        line = {"ProductCode": "ANVIL", "Quantity": 2, "UnitPrice": "12.34"}
        body = {
            "accounts": [{"Name": "Acme", "ERP_Key__c": "C-1"}],
            "products": [
                {"Name": "Anvil", "ProductCode": "ANVIL", "ERP_Key__c": "P-1", "prices": {"USD": "12.50"}}
            ],
            "orders": [
                {
                    "AccountErpKey": "C-1",
                    "EffectiveDate": "2026-03-04",
                    "PoNumber": f"PO-{n}",
                    "lines": [line],
                }
                for n in range(orders)
            ],
        }
        return cast(dict[str, list[dict[str, str]]], self.post("/_sim/seed", body))


class _ToPlainPort(HTTPAdapter):
    """simple-salesforce writes https:// into every URL; this leads the requests to the plain port."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:  # type: ignore[override]
        assert request.url is not None
        request.url = request.url.replace("https://127.0.0.1:8443", self._url)
        request.headers["Host"] = "127.0.0.1:8443"
        return super().send(request, **options)  # type: ignore[arg-type]


@contextmanager
def in_a_thread(options: Options, tls: Tls | None = None) -> Iterator[str]:
    """Serves until the block ends; gives the URL, that of an HTTPS door if one is wanted."""
    doors: Queue[str] = Queue()
    stop = threading.Event()

    async def live() -> None:
        app = build(options)  # Here, because the store belongs to the thread that opened it.
        async with serving(app) as plain, serving_tls(app, tls) if tls else nullcontext(plain) as url:
            doors.put(url)
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        yield doors.get(timeout=10)
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def process(state: Path) -> Iterator[str]:
    """The simulator as a process of its own, killed without warning when the block ends."""
    command = [sys.executable, "-m", "connectors.salesforce.simulator", "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().removeprefix("listening on ").strip()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()


# What tests say often


def refusal(act: object) -> str:
    """The code with which Salesforce refuses the act."""
    assert callable(act)
    with pytest.raises(SalesforceError) as refused:
        act()
    return str(first_error(refused)["errorCode"])


def first_error(refused: pytest.ExceptionInfo[SalesforceError]) -> dict[str, str]:
    """The first error of a refusal's body, which simple-salesforce hands on as it came."""
    return cast(list[dict[str, str]], refused.value.content)[0]


def account(name: str) -> dict[str, object]:
    return {"attributes": {"type": "Account"}, "Name": name}


def collection(
    client: Any,
    method: str,
    records: list[dict[str, object]],
    *,
    all_or_none: bool = False,
    path: str = "",
) -> list[dict[str, Any]]:
    body = {"allOrNone": all_or_none, "records": records}
    return cast(
        list[dict[str, object]], client.restful(f"composite/sobjects{path}", method=method, json=body)
    )


def rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def certificate(folder: Path) -> Tls:
    """A certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Tls(folder / "cert.pem", folder / "key.pem")
