"""SuiteQL's functions and how values are printed; open it to add a function or a date format."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal

from connectors.netsuite.simulator.account import Account
from connectors.netsuite.simulator.suiteql.parser import invalid_query
from connectors.netsuite.simulator.suiteql.tables import Scalar
from connectors.netsuite.simulator.suiteql.tables.columns import local_time

_FORMAT_PARTS = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "HH24": "%H",
    "MI": "%M",
    "SS": "%S",
}
_FORMAT = re.compile("YYYY|HH24|MM|DD|MI|SS")


def call(account: Account, name: str, arguments: list[Scalar]) -> Scalar:
    """Raises NetSuiteError for arguments the function does not take."""
    if name == "SYSDATE":
        return local_time(account, account.store.now())
    if not arguments:
        raise invalid_query(f"{name} lacks arguments.")
    first = arguments[0]
    if name == "NVL":
        return first if first is not None else arguments[1]
    if name == "GREATEST":
        return _greatest(arguments)
    if first is None:
        return None
    if name not in _OF_ONE_VALUE:
        raise invalid_query(f"Function '{name}' is not supported here.")
    return _OF_ONE_VALUE[name](first, arguments[1:])


def _greatest(values: list[Scalar]) -> Scalar:
    """The latest of several times; null when one is null, as in Oracle."""
    times = [value for value in values if isinstance(value, datetime)]
    if len(times) < len(values) and None not in values:
        raise invalid_query("GREATEST compares times only here.")
    return max(times) if len(times) == len(values) else None


def printed(value: Scalar) -> str:
    """As in a result: everything is text; times come in the account's display format unless TO_CHAR says otherwise."""
    if isinstance(value, datetime):
        hour = value.hour % 12 or 12
        return f"{value.month}/{value.day}/{value.year} {hour}:{value:%M} {'am' if value.hour < 12 else 'pm'}"
    if isinstance(value, date):
        return f"{value.month}/{value.day}/{value.year}"
    if isinstance(value, Decimal):
        plain = format(value, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "" if value is None else value


def matches_like(text: str, pattern: str) -> bool:
    parts = (".*" if sign == "%" else "." if sign == "_" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _to_char(value: Scalar, options: list[Scalar]) -> str:
    if not options or not isinstance(value, date):
        return printed(value)
    return value.strftime(_strftime(printed(options[0])))


def _to_timestamp(value: Scalar, options: list[Scalar]) -> datetime:
    if not options:
        raise invalid_query("TO_DATE and TO_TIMESTAMP need a format here.")
    try:
        return datetime.strptime(printed(value), _strftime(printed(options[0])))  # noqa: DTZ007  SuiteQL times have no zone
    except ValueError:
        raise invalid_query(f"'{printed(value)}' does not match the date format.") from None


def _strftime(oracle_format: str) -> str:
    return _FORMAT.sub(lambda part: _FORMAT_PARTS[part.group()], oracle_format.replace("%", "%%"))


_OF_ONE_VALUE: Mapping[str, Callable[[Scalar, list[Scalar]], Scalar]] = {
    "TO_CHAR": _to_char,
    "TO_DATE": _to_timestamp,
    "TO_TIMESTAMP": _to_timestamp,
    "ABS": lambda value, _: abs(Decimal(printed(value))),
    "UPPER": lambda value, _: printed(value).upper(),
    "LOWER": lambda value, _: printed(value).lower(),
}
"""Functions that are null of a null; the second argument holds further arguments."""
