"""What was written under an earlier version of the contracts is read today, and written again as it was.

The payloads under `golden/` were kept by `make release`; stores, streams and callers of that version hold such bytes.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypedDict

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.rules import public_rules
from tests.tidy.contracts import our_files

GOLDEN = Path(__file__).parent / "golden"


class Payload(TypedDict):
    """One message as it was written."""

    bytes: str
    json: dict[str, object]


@cache
def kept() -> tuple[tuple[str, str, Payload], ...]:
    """Version, full name and payload of every example."""
    return tuple(_kept())


def _kept() -> Iterator[tuple[str, str, Payload]]:
    for path in sorted(GOLDEN.glob("*/*.json")):
        for name, payloads in json.loads(path.read_text(encoding="utf-8")).items():
            for payload in payloads:
                yield path.parent.name, name, payload


@cache
def message_types() -> dict[str, type[Message]]:
    found: dict[str, type[Message]] = {}
    for file in our_files():
        module = import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        kinds = module.DESCRIPTOR.message_types_by_name.values()
        found |= {kind.full_name: GetMessageClass(kind) for kind in kinds}
    return found


def test_every_package_has_payloads() -> None:
    packages = {name.rsplit(".", 1)[0] for _, name, _ in kept()}
    assert {f"ordermesh.{name}.v1" for name in ("common", "customer", "order", "operations")} <= packages


@pytest.mark.parametrize("version", sorted({version for version, _, _ in kept()}) or ["none kept"])
def test_payloads_of_a_version_are_read_and_written_as_they_were(version: str) -> None:
    wrong = [
        f"{name}: {fault}"
        for of_version, name, payload in kept()
        if of_version == version
        for fault in faults(name, payload)
    ]
    assert version != "none kept", "keep the payloads of this version: make release"
    assert not wrong, "\n".join(wrong)


def faults(name: str, payload: Payload) -> Iterator[str]:
    """What is read or written otherwise than then."""
    kind = message_types().get(name)
    if kind is None:
        yield "the message is gone"
        return
    written = bytes.fromhex(payload["bytes"])
    read = kind.FromString(written)
    if has_unknown_fields(read):
        yield "bytes of then are not understood"
    if json.loads(json_format.MessageToJson(read)) != payload["json"]:
        yield "the JSON is another"
    if read.SerializeToString(deterministic=True) != written:
        yield "the bytes are others"
    try:
        parsed = json_format.ParseDict(payload["json"], kind())
    except json_format.ParseError as error:
        yield f"JSON of then is not understood: {error}"
        return
    if parsed.SerializeToString(deterministic=True) != written:
        yield "JSON of then becomes other bytes"


def has_unknown_fields(message: Message) -> bool:
    if len(UnknownFieldSet(message)):
        return True
    return any(
        has_unknown_fields(inner)
        for field, value in message.ListFields()
        if field.message_type is not None and not field.message_type.GetOptions().map_entry
        for inner in (value if field.is_repeated else [value])
    )


def test_the_gateway_reads_requests_of_then_as_the_services_do() -> None:
    requests = {rule.desc.input.type_name: rule for rule in public_rules()}
    wrong = []
    for _, name, payload in kept():
        if name in requests:
            read = requests[name].request.from_json(json.dumps(payload["json"])).to_binary()
            # Two runtimes may write fields in another order; what a service reads must be the same.
            service_reads = message_types()[name].FromString(read)
            if service_reads.SerializeToString(deterministic=True) != bytes.fromhex(payload["bytes"]):
                wrong.append(name)
    assert requests.keys() & {name for _, name, _ in kept()}
    assert not wrong


def test_a_renumbered_field_would_be_noticed() -> None:
    name, payload = next(
        (name, payload) for _, name, payload in kept() if name == "ordermesh.common.v1.BatchOutcome"
    )
    moved: Payload = {"bytes": "7a" + payload["bytes"][2:], "json": payload["json"]}
    assert list(faults(name, moved))
