"""Where the connector's parts meet: the only module that reads the settings."""

from datetime import timedelta

from connectors.kit.budget import SharedBudget
from connectors.kit.http import Budget, HttpLimits
from connectors.salesforce.client import Client
from connectors.salesforce.config import Settings
from connectors.salesforce.connector import Options, SalesforceConnector
from libs.common.clock import Clock, SystemClock


def build(
    settings: Settings, *, budget: Budget | None = None, clock: Clock | None = None
) -> SalesforceConnector:
    """The connector for one org. budget, clock: for tests."""
    clock = clock or SystemClock()
    client = Client(
        base_url=settings.base_url,
        client_id=settings.client_id,
        client_secret_file=settings.client_secret_file,
        version=settings.api_version,
        clock=clock,
        limits=HttpLimits(
            read_seconds=settings.read_timeout_seconds,
            total_seconds=settings.total_timeout_seconds,
            concurrency_max=settings.concurrency_max,
        ),
        budget=budget or SharedBudget.of(settings, clock),
    )
    options = Options(
        system=settings.system,
        multicurrency=settings.multicurrency,
        default_currency=settings.default_currency,
        overlap=timedelta(seconds=settings.overlap_seconds),
        concurrency_max=settings.concurrency_max,
        calls_per_minute_max=settings.calls_per_minute_max,
    )
    return SalesforceConnector(client, options)
