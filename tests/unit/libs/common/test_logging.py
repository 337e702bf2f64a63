"""A log line is one JSON object that says whose call it was and holds nothing that must not be seen."""

import io
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import cast

import pytest
import structlog
from ordermesh.customer.v1 import customer_pb2

from libs.common.config import Environment, ProcessSettings
from libs.common.context import CallContext, using
from libs.common.errors import Refused
from libs.common.logging import start_logging

CONTEXT = CallContext(
    tenant="acme",
    system="salesforce",
    actor="flow@acme.example",
    roles=frozenset(),
    correlation_id="cor-1",
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
)
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


class Output(io.StringIO):
    """Stands in for standard output."""

    def lines(self) -> list[dict[str, object]]:
        """Lines written so far."""
        return [cast("dict[str, object]", json.loads(line)) for line in self.getvalue().splitlines()]


@pytest.fixture
def output() -> Iterator[Output]:
    """The process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = Output()
    start_logging(ProcessSettings(log_level="info"), "order-serve", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def log() -> structlog.typing.FilteringBoundLogger:
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger("test.log"))


def test_a_line_tells_process_tenant_correlation_and_trace(output: Output) -> None:
    with using(CONTEXT):
        log().info("order accepted", order_id="ord_1")
    (line,) = output.lines()
    assert line["event"] == "order accepted"
    assert line["process"] == "order-serve"
    assert (line["tenant"], line["correlation_id"]) == ("acme", "cor-1")
    assert (line["trace_id"], line["span_id"]) == ("a" * 32, "b" * 16)
    assert "actor" not in line


def test_an_error_of_ours_is_told_by_reason_class_and_owner(output: Output) -> None:
    log().warning("parked", error=Refused("CREDIT_HOLD", "the customer is on hold"))
    (line,) = output.lines()
    assert (line["reason"], line["failure_class"], line["owner"]) == ("CREDIT_HOLD", "business", "finance")
    assert line["error"] == "the customer is on hold"


def test_of_a_strange_error_only_the_type_is_told_unless_a_stack_is_asked_for(output: Output) -> None:
    log().warning("lost", error=ValueError("jane@acme.example is not a number"))
    (line,) = output.lines()
    assert line["error"] == "ValueError"
    assert "jane" not in json.dumps(line)


def test_fields_marked_in_the_contracts_and_secrets_are_masked_at_any_depth(output: Output) -> None:
    log().info(
        "customer",
        email="jane@acme.example",
        customer={"taxId": "DE1", "contacts": [{"phone": "+49", "kind": "office"}]},
        client_secret="s3cret",
        order_total=Decimal("9.99"),
    )
    (line,) = output.lines()
    assert line["email"] == line["client_secret"] == "***"
    assert line["customer"] == {"taxId": "***", "contacts": [{"phone": "***", "kind": "office"}]}
    assert line["order_total"] == "9.99"


@pytest.mark.parametrize(
    "text",
    [
        f"sent authorization: Bearer {JWT}",
        f"token {JWT} was refused",
        "cannot reach postgresql+asyncpg://mesh:hunter2@db:5432/orders",
        "duplicate key\nDETAIL:  Key (email)=(jane@acme.example) already exists.",
        "[SQL: INSERT …]\n[parameters: ('jane@acme.example', 'hunter2')]",
    ],
)
def test_tokens_passwords_and_quoted_values_are_masked_wherever_they_stand(output: Output, text: str) -> None:
    log().info(text, note=text)
    try:
        raise ValueError(text)
    except ValueError:
        log().exception("crashed")
    written = json.dumps(output.lines(), ensure_ascii=False)
    for hidden in (JWT, "hunter2", "jane@acme.example"):
        assert hidden not in written


def test_a_message_or_strange_object_never_writes_its_content(output: Output) -> None:
    log().info("seen", customer=customer_pb2.Customer(name="Jane Doe"), thing=object())
    (line,) = output.lines()
    assert (line["customer"], line["thing"]) == ("<Customer>", "<object>")


def test_lines_of_other_libraries_come_out_the_same_way(output: Output) -> None:
    with using(CONTEXT):
        logging.getLogger("asyncpg").warning("lost %s", "redis://user:hunter2@cache:6379")
    (line,) = output.lines()
    assert line["event"] == "lost redis://***@cache:6379"
    assert line["tenant"] == "acme"


def test_the_level_is_heeded_and_chatty_libraries_are_quiet(output: Output) -> None:
    log().debug("details")
    logging.getLogger("httpx").info("request")
    logging.getLogger("alembic").warning("careful")
    assert [line["event"] for line in output.lines()] == ["careful"]


def test_in_development_a_pipe_still_gets_json(output: Output) -> None:
    start_logging(ProcessSettings(environment=Environment.DEVELOPMENT), "order", output)
    log().info("hello")
    assert output.lines()[0]["event"] == "hello"
