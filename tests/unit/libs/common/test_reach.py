"""Every failure that a client's library knows is sorted, and in one place it is decided what is known after it."""

import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import aiohttp
import aiohttp.client_exceptions
import asyncpg
import grpc
import httpx
import pytest
import redis.exceptions
import sqlalchemy as sa

from connectors.kit.http import REACHES, Call, ended, reach_of
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE
from libs.common.errors import NotDone, OutcomeUnknown
from libs.common.reach import Reach, after, kind_after
from libs.common.rpc.contract import methods
from libs.common.rpc.interceptors.errors import as_ours
from libs.common.rpc.status import BARE
from tests.tidy.tree import ROOT

READ, WRITE = (Call("GET", "/", effect=False), Call("PUT", "/", effect=True))
WRITING = methods()["/ordermesh.connector.v1.ConnectorService/ApplyChange"]
MISUSE_OF_HTTPX = (httpx.StreamError, httpx.CookieConflict)
"""Raised for the order in which we call, never for the network: bugs of ours."""
NOT_OF_A_CALL = ("WS", "WebSocket", "Eof", "BadContentDisposition")
"""aiohttp's words for what we do not speak or parse: web sockets, its own parser, warnings."""
OF_A_CLUSTER = (
    redis.exceptions.RedisClusterException,
    redis.exceptions.ChildDeadlockedError,
    redis.exceptions.IncorrectPolicyType,
)
"""What only a cluster's client or a forked one raises."""
STATEMENT = "09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 2B 2D 2F 34 38 39 3B 3F 42 44 54 55 F0 HV P0"
SERVER = "XX"
FAULTS_OF_OURS = frozenset(f"{STATEMENT} {SERVER}".split())
"""Classes of SQLSTATE that speak of the statement, or of a defect of the server: nothing was committed, running it
again changes nothing, and the work that said it is parked as crashed."""
NO_FAILURES = ("00", "01", "02", "03")


def failures_of(module: ModuleType) -> Iterator[type[Exception]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception):
            yield kind


@pytest.mark.parametrize(
    ("reach", "effect", "kind"),
    [
        (Reach.NOT_SENT, False, NotDone),
        (Reach.NOT_SENT, True, NotDone),
        (Reach.SENT, False, NotDone),
        (Reach.SENT, True, OutcomeUnknown),
        (Reach.ANSWERED, False, NotDone),
        (Reach.ANSWERED, True, NotDone),
    ],
)
def test_only_a_write_that_may_have_arrived_is_in_doubt(
    reach: Reach, effect: bool, kind: type[Exception]
) -> None:
    error = after(reach, effect=effect, detail="x", not_done="SYSTEM_UNAVAILABLE")

    assert type(error) is kind is kind_after(reach, effect=effect)
    assert error.reason == ("OUTCOME_UNKNOWN" if kind is OutcomeUnknown else "SYSTEM_UNAVAILABLE")


def test_what_is_known_is_decided_in_one_place() -> None:
    choice = re.compile(r"(OutcomeUnknown if .* else NotDone|NotDone if .* else OutcomeUnknown)")
    places = [
        str(path.relative_to(ROOT))
        for folder in ("libs", "connectors", "services", "gateway")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if choice.search(path.read_text())
    ]

    assert places == ["libs/common/reach.py"]


@pytest.mark.parametrize("module", [httpx, aiohttp, aiohttp.client_exceptions])
def test_no_failure_of_http_is_unsorted(module: ModuleType) -> None:
    known = tuple(kind for kind, _ in REACHES)
    unsorted = [
        kind.__name__
        for kind in failures_of(module)
        if not issubclass(kind, (*known, *MISUSE_OF_HTTPX)) and not kind.__name__.startswith(NOT_OF_A_CALL)
    ]

    assert unsorted == []


def test_a_rule_about_http_is_not_hidden_behind_a_wider_one() -> None:
    kinds = [kind for kind, _ in REACHES]
    hidden = [
        later.__name__
        for place, later in enumerate(kinds)
        for earlier in kinds[:place]
        if issubclass(later, earlier)
    ]

    assert hidden == []


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.CloseError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.DecodingError("x"),
        httpx.ConnectTimeout("the transport says so of a server that hung up, too"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(),
        aiohttp.SocketTimeoutError(),
        aiohttp.ClientPayloadError(),
        ConnectionResetError(),
        BrokenPipeError(),
    ],
)
def test_whatever_may_come_after_the_request_left_leaves_a_write_in_doubt(error: Exception) -> None:
    assert reach_of(error) is Reach.SENT
    assert type(ended(WRITE, reach_of(error), "x")) is OutcomeUnknown
    assert type(ended(READ, reach_of(error), "x")) is NotDone


def test_the_cause_counts_for_more_than_what_the_transport_made_of_it() -> None:
    hung_up = httpx.ConnectTimeout("x")
    hung_up.__cause__ = aiohttp.ServerDisconnectedError()
    slow_to_connect = httpx.ConnectTimeout("x")
    slow_to_connect.__cause__ = aiohttp.ConnectionTimeoutError()

    assert reach_of(hung_up) is Reach.SENT
    assert reach_of(slow_to_connect) is Reach.NOT_SENT


def test_a_failure_that_nobody_knows_counts_as_sent() -> None:
    assert reach_of(Exception()) is Reach.SENT


def test_no_status_of_grpc_is_unsorted_and_a_lost_answer_of_a_write_is_in_doubt() -> None:
    assert BARE.keys() == set(grpc.StatusCode)
    said_nothing = {
        code for code, bare in BARE.items() if (bare.reading[0], bare.writing[0]) == (NotDone, OutcomeUnknown)
    }
    assert said_nothing == {
        grpc.StatusCode.OK,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }


def test_no_failure_of_postgresql_is_unsorted() -> None:
    unsorted = [
        f"{kind.__name__} {code}"
        for kind in failures_of(asyncpg.exceptions)
        if (code := getattr(kind, "sqlstate", None))
        and not issubclass(kind, AGAIN + UNREACHABLE + UNSTORABLE)
        and code[:2] not in FAULTS_OF_OURS
        and code[:2] not in NO_FAILURES
    ]

    assert unsorted == [
        "TransactionRollbackError 40000"
    ]  # the class's own code, which the server never sends


def test_no_failure_of_postgresql_is_sorted_twice() -> None:
    """Again, later, never: three different things. Of the driver's own the narrower is asked for first."""
    twice = [
        kind.__name__
        for kind in failures_of(asyncpg.exceptions)
        if sum(issubclass(kind, kinds) for kinds in (AGAIN, UNREACHABLE, UNSTORABLE)) > 1
        and not issubclass(kind, asyncpg.InterfaceError | asyncpg.InternalClientError)
    ]

    assert twice == []


def test_the_driver_and_the_pool_are_sorted_as_the_server_is() -> None:
    drivers = [asyncpg.InterfaceError, asyncpg.InternalClientError, sa.exc.TimeoutError, sa.exc.DBAPIError]

    assert [kind.__name__ for kind in drivers if not issubclass(kind, UNREACHABLE)] == []


@pytest.mark.parametrize(
    "fault",
    [asyncpg.NotNullViolationError("x"), asyncpg.DataCorruptedError("x"), asyncpg.UndefinedTableError("x")],
)
def test_a_fault_of_ours_after_a_write_began_is_never_told_as_not_done(fault: Exception) -> None:
    assert type(as_ours(fault, WRITING)) is OutcomeUnknown


def test_no_failure_of_redis_is_unsorted() -> None:
    """Whoever speaks to Redis catches these three families, and nothing that counts depends on the answer."""
    caught = (redis.exceptions.RedisError, OSError, TimeoutError)
    unsorted = [
        kind.__name__
        for kind in failures_of(redis.exceptions)
        if not issubclass(kind, (*caught, *OF_A_CLUSTER))
    ]

    assert unsorted == []
