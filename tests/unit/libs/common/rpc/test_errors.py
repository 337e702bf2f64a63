"""What a servicer raises is told to the caller by what it means; a bug tells nothing."""

import asyncpg
import grpc
import pytest
import sqlalchemy.exc

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.rpc.contract import methods
from libs.common.rpc.interceptors import errors
from libs.common.rpc.interceptors.errors import as_ours

READING = methods()["/ordermesh.order.v1.OrderService/GetOrder"]
WRITING = methods()["/ordermesh.order.v1.OrderService/SubmitOrder"]


def lost_by_driver() -> sqlalchemy.exc.DBAPIError:
    return sqlalchemy.exc.OperationalError("SELECT 1", {"email": "a@b"}, OSError("gone"))


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("full"),
        sqlalchemy.exc.TimeoutError("pool"),
        ConnectionRefusedError(111, "refused"),
    ],
)
def test_a_store_that_was_never_asked_is_not_done(error: Exception) -> None:
    for method in (READING, WRITING):
        ours = as_ours(error, method)
        assert isinstance(ours, NotDone)
        assert ours.reason == "STORE_UNAVAILABLE"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.exceptions.AdminShutdownError("bye"),
        asyncpg.exceptions.CrashShutdownError("bye"),
        ConnectionResetError(104, "reset"),
        lost_by_driver(),
    ],
)
def test_a_store_whose_answer_was_lost_leaves_a_write_in_doubt(error: Exception) -> None:
    assert isinstance(as_ours(error, WRITING), OutcomeUnknown)
    reading = as_ours(error, READING)
    assert isinstance(reading, NotDone)
    assert reading.reason == "STORE_UNAVAILABLE"


def test_the_names_of_driver_errors_are_those_the_drivers_use() -> None:
    """They are compared by name, so a renamed class would go unnoticed without this."""
    known = (
        asyncpg.exceptions.CannotConnectNowError,
        asyncpg.exceptions.TooManyConnectionsError,
        asyncpg.exceptions.AdminShutdownError,
        asyncpg.exceptions.CrashShutdownError,
        asyncpg.exceptions.PostgresConnectionError,
        asyncpg.InterfaceError,
        sqlalchemy.exc.TimeoutError,
        sqlalchemy.exc.InterfaceError,
        sqlalchemy.exc.OperationalError,
        ConnectionRefusedError,
        ConnectionError,
    )
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in known}
    assert names == errors.NOT_CONNECTED | errors.CONNECTION_LOST


@pytest.mark.parametrize(
    "bug",
    [
        ZeroDivisionError("secret=42"),
        KeyError("tax_id"),
        sqlalchemy.exc.ProgrammingError("x", {}, Exception()),
    ],
)
def test_a_bug_shows_nothing_of_itself(bug: Exception) -> None:
    ours = as_ours(bug, READING)
    assert ours.reason == "INTERNAL"
    assert str(bug) not in ours.detail
    assert ours.facts.metadata == {}


def test_a_bug_may_have_struck_after_the_effect() -> None:
    assert isinstance(as_ours(ZeroDivisionError(), WRITING), OutcomeUnknown)
    assert isinstance(as_ours(ZeroDivisionError(), READING), Refused)


def test_our_errors_stay_as_they_are() -> None:
    error: OrdermeshError = Refused("NOT_FOUND")
    assert as_ours(error, READING) is error


def test_a_neighbour_s_bare_status_is_not_passed_on_as_ours() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, details="10.0.0.7:50051")
    assert isinstance(as_ours(error, READING), OutcomeUnknown)
