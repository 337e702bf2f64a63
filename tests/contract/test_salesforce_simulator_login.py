"""Every way in: client credentials, passwords, JWT, SOAP, and what happens when a session ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from connectors.salesforce.simulator.app import Options
from tests.contract.salesforce_org import Org, certificate, in_a_thread, rsa_key


@pytest.fixture(scope="module")
def shared_url() -> Iterator[str]:
    with in_a_thread(Options()) as url:
        yield url


@pytest.fixture
def org() -> Iterator[Org]:
    with in_a_thread(Options()) as url:
        yield Org(url)


@pytest.fixture
def reading(shared_url: str) -> Org:
    """An org shared by the tests that leave nothing behind that another would trip over."""
    return Org(shared_url)


# Logging in


def test_client_credentials_open_a_session(reading: Org) -> None:
    client = reading.client()
    assert client.query("SELECT COUNT() FROM User")["totalSize"] == 2
    assert client.is_sandbox() is True


@pytest.mark.parametrize(
    "login",
    [
        {"username": "sales@ordermesh.example", "password": "pw", "security_token": "t"},
        {"username": "sales@ordermesh.example", "password": "pw", "organizationId": "00D"},
        {
            "username": "sales@ordermesh.example",
            "password": "pw",
            "consumer_key": "k",
            "consumer_secret": "s",
        },
    ],
    ids=["soap with token", "soap with organization", "oauth password"],
)
def test_password_logins_open_a_session(reading: Org, login: dict[str, str]) -> None:
    assert reading.client(**login).query("SELECT Id FROM User")["totalSize"] == 2


def test_jwt_bearer_opens_a_session(reading: Org) -> None:
    key = rsa_key()
    client = reading.client(username="integration@ordermesh.example", consumer_key="k", privatekey=key)
    assert client.query("SELECT Id FROM User")["totalSize"] == 2


@pytest.mark.parametrize(
    "login",
    [
        {"username": "a@b.c", "password": "wrong", "security_token": ""},
        {"consumer_key": "ordermesh", "consumer_secret": "wrong"},
    ],
    ids=["soap", "client credentials"],
)
def test_wrong_secret_is_refused_in_the_clients_own_words(reading: Org, login: dict[str, str]) -> None:
    with pytest.raises(SalesforceAuthenticationFailed):
        reading.client(**login)


def test_expired_session_is_renewed_and_the_call_repeated(org: Org) -> None:
    client = org.client()
    org.fault(kind="expired_token", path="/query")
    assert client.query("SELECT Id FROM User")["totalSize"] == 2


def test_https_serves_the_domain_trick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
    with in_a_thread(Options(), tls) as url:
        domain = url.removeprefix("https://") + "/x"
        client: Any = Salesforce(domain=domain, consumer_key="k", consumer_secret="s")
        assert client.Account.create({"Name": "Acme"})["success"] is True
