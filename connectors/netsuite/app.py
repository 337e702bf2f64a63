"""Where the connector's parts meet: the only module that reads the settings."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from connectors.kit.budget import SharedBudget
from connectors.kit.http import Budget, HttpLimits, VendorHttp
from connectors.netsuite.auth import ClientCredentials, LoadKey, key_from_file, throw_away_key
from connectors.netsuite.client import NetSuiteClient
from connectors.netsuite.config import Settings
from connectors.netsuite.connector import NetSuite, Options
from libs.common.clock import Clock, SystemClock


def build(settings: Settings, *, budget: Budget | None = None, clock: Clock | None = None) -> NetSuite:
    """The connector for one account. budget, clock: for tests."""
    clock = clock or SystemClock()
    credentials = ClientCredentials(
        base_url=settings.base_url,
        client_id=settings.client_id,
        certificate_id=settings.certificate_id,
        load_key=_key_of(settings),
        clock=clock,
    )
    limits = HttpLimits(
        read_seconds=settings.read_timeout_seconds,
        total_seconds=settings.total_timeout_seconds,
        concurrency_max=settings.concurrency_max,
    )
    http = VendorHttp(
        settings.base_url,
        credentials.fetch,
        limits=limits,
        budget=budget or SharedBudget.of(settings, clock),
        clock=clock,
    )
    options = Options(
        system=settings.system,
        zone=ZoneInfo(settings.time_zone),
        overlap=timedelta(seconds=settings.overlap_seconds),
        concurrency_max=settings.concurrency_max,
        calls_per_minute_max=settings.calls_per_minute_max,
        order_status=settings.order_status,
        location_id=settings.location_id,
    )
    return NetSuite(NetSuiteClient(http), options, clock)


def _key_of(settings: Settings) -> LoadKey:
    if settings.private_key_file is not None:
        return key_from_file(settings.private_key_file)
    if settings.in_development:
        return throw_away_key()
    raise SystemExit(
        "settings cannot be used:\n  ORDERMESH_NETSUITE_PRIVATE_KEY_FILE: is needed outside development"
    )
