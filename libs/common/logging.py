"""Logs: one JSON object a line on stdout. Open this file to learn which fields a line has and what is masked.

    log = structlog.get_logger(__name__)
    log.warning("delivery failed", target=delivery.target, error=error)

Every line carries `trace_id`, `span_id`, `tenant` and `correlation_id` of the running call, and an `error` of ours adds
`reason`, `failure_class` and `owner`. Values of fields that the contracts mark `debug_redact`, secrets and tokens are
masked before anything is written. Lines of other libraries come out the same way.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from libs.common.config import ProcessSettings
from libs.common.context import current
from libs.common.errors import OrdermeshError
from libs.common.personal import hidden
from libs.common.rpc.contract import redacted_fields
from libs.common.telemetry import current_traceparent, ids_in

MASK = "***"
SECRET_NAMES = frozenset(
    {
        "access_token", "api_key", "assertion", "authorization", "client_secret", "cookie", "id_token", "passphrase",
        "password", "private_key", "refresh_token", "secret", "session_id", "token",
    }
)  # fmt: skip
HIDDEN_TEXT = re.compile(
    r"(?i:bearer\s+)[\w.~+/=-]+"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=DETAIL:)[^\n]*"
    r"|(?<=\[parameters:)[^\n]*"
)
"""Wherever they stand in a text: bearer headers, JWTs, user names with passwords in addresses, and the values that
PostgreSQL's and SQLAlchemy's messages quote. Personal values besides: `personal.py`."""
DEPTH_MAX = 6
TEXT_CHARACTERS_MAX = 20_000


def start_logging(settings: ProcessSettings, process_name: str, stream: TextIO | None = None) -> None:
    """Sets structlog and the standard library up; call it first thing in a process. stream: standard output."""
    stream = stream or sys.stdout
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    readable = settings.in_development and stream.isatty()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ProcessName(process_name),
        add_call_context,
        add_error,
        structlog.processors.format_exc_info,
        Masking(redacted_fields() | SECRET_NAMES),
    ]
    last: Processor = structlog.dev.ConsoleRenderer() if readable else render_json
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for talkative in ("asyncio", "httpx", "httpcore", "alembic", "sqlalchemy.engine"):
        logging.getLogger(talkative).setLevel(max(level, logging.WARNING))


class _ProcessName:
    """Adds the name of the process."""

    def __init__(self, process_name: str) -> None:
        self._process_name = process_name

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", self._process_name)
        return event


def add_call_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Whose call the line belongs to; what the caller stated himself stays."""
    context = current.get(None)
    if context is None:
        return event
    trace_id, span_id = ids_in(current_traceparent() or context.traceparent)
    fields = (
        ("tenant", context.tenant),
        ("correlation_id", context.correlation_id),
        ("trace_id", trace_id),
        ("span_id", span_id),
    )
    for name, value in fields:
        if value:
            event.setdefault(name, value)
    return event


def add_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Spreads an error of ours over fields; of a strange one only its type is told, its words may hold data."""
    error = event.get("error")
    if isinstance(error, OrdermeshError):
        event["error"] = error.detail
        event.setdefault("reason", error.reason)
        event.setdefault("failure_class", error.policy.failure_class)
        event.setdefault("owner", error.policy.owner)
    elif isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event


class Masking:
    """Masks values by the name they stand under, and what `HIDDEN_TEXT` finds in texts."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in event.items():
            event[name] = value if name.startswith("_") else self._masked(name, value, 0)
        return event

    def _masked(self, name: str, value: object, depth: int) -> object:
        if name in self._names and value is not None:
            return MASK
        if isinstance(value, str):
            return _without_secrets(value)
        if isinstance(value, bool | int | float | None):
            return value
        if depth >= DEPTH_MAX:
            return MASK
        if isinstance(value, Mapping):
            return {str(key): self._masked(str(key), entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked("", entry, depth + 1) for entry in value]
        return _without_secrets(printable(value))


def _without_secrets(text: str) -> str:
    return hidden(HIDDEN_TEXT.sub(MASK, text[:TEXT_CHARACTERS_MAX]))


def printable(value: object) -> str:
    """Values that have one plain form; of any other object, messages above all, only the type is told."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | PurePath) else f"<{type(value).__name__}>"


def render_json(_logger: WrappedLogger, _method: str, event: MutableMapping[str, object]) -> str:
    return json.dumps(event, ensure_ascii=False, default=printable)
