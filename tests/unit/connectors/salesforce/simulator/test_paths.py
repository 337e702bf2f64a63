"""Paths: the odd URLs that clients send."""

import pytest

from connectors.salesforce.simulator.paths import regular


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (b"/services/data/v59.0/sobjects/Account/", b"/services/data/v59.0/sobjects/Account"),
        (b"/x.salesforce.com/services/oauth2/token", b"/services/oauth2/token"),
        (b"/services/soap/U/59.0", b"/services/Soap/u/59.0"),
        (b"//services//Data/v59.0", b"/services/data/v59.0"),
        (
            b"/services/data/v59.0/sobjects/Account/Key__c/a%2Fb",
            b"/services/data/v59.0/sobjects/Account/Key__c/a%2Fb",
        ),
        (b"/", b"/"),
    ],
)
def test_path_is_made_regular(sent: bytes, understood: bytes) -> None:
    assert regular(sent) == understood
