"""Keeps the contracts of a version: `make release`, once per version. Open this file to see what is kept and why.

    protos/released/<version>.binpb                          the compiled contracts, without comments
    tests/contract/golden/<version>/<package>.json           every message once, filled in: bytes and JSON

The version is pyproject.toml's. `make check-contracts` holds every later change against the newest image; the
payloads are what stores, streams and callers of that version hold, and later code must read them. A version that is
kept is never written again: raise the version first.
"""

import json
import sys
from collections.abc import Iterator

from google.protobuf import duration_pb2, field_mask_pb2, json_format, message_factory, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from protos.compare import IMAGE, OURS, RELEASED, ROOT

GOLDEN = ROOT.parent / "tests" / "contract" / "golden"
PROJECT = ROOT.parent / "pyproject.toml"
DEPTH_MAX = 4
"""Levels of messages within messages that a payload shows."""


def version() -> str:
    """The project's version."""
    lines = PROJECT.read_text().splitlines()
    return next(line for line in lines if line.startswith("version = ")).split('"')[1]


def bare_image(image: bytes) -> bytes:
    """The image without comments and places, which no comparison needs."""
    files = FileDescriptorSet.FromString(image)
    for file in files.file:
        file.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def payloads(image: bytes) -> dict[str, dict[str, list[dict[str, object]]]]:
    """By package and message: filled-in examples, one for each choice of a oneof."""
    pool = DescriptorPool()
    files = FileDescriptorSet.FromString(image).file
    for file in files:
        pool.Add(file)
    found: dict[str, dict[str, list[dict[str, object]]]] = {}
    for file in files:
        if file.name.startswith(OURS):
            package = found.setdefault(file.package, {})
            package.update(_payloads_of(pool.FindFileByName(file.name)))
    return {package: messages for package, messages in found.items() if messages}


def _payloads_of(file: FileDescriptor) -> Iterator[tuple[str, list[dict[str, object]]]]:
    for descriptor in file.message_types_by_name.values():
        yield (
            descriptor.full_name,
            [
                {
                    "bytes": example.SerializeToString(deterministic=True).hex(),
                    "json": json.loads(json_format.MessageToJson(example)),
                }
                for example in _examples(descriptor)
            ],
        )


def _examples(descriptor: Descriptor) -> Iterator[Message]:
    choices = max((len(oneof.fields) for oneof in descriptor.oneofs), default=1)
    for choice in range(choices):
        yield _filled(descriptor, choice, DEPTH_MAX)


def _filled(descriptor: Descriptor, choice: int, depth: int) -> Message:
    """Every field set to something that is not its default; of each oneof the choice-th."""
    message: Message = message_factory.GetMessageClass(descriptor)()
    if isinstance(message, WELL_KNOWN):
        _fill_well_known(message)
        return message
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[choice % len(oneof.fields)] is not field:
            continue
        if field.message_type is None:
            _set_scalar(message, field)
        elif depth > 0:
            _set_message(message, field, depth)
    return message


WELL_KNOWN = (timestamp_pb2.Timestamp, duration_pb2.Duration, field_mask_pb2.FieldMask)


def _fill_well_known(message: Message) -> None:
    if isinstance(message, field_mask_pb2.FieldMask):
        message.paths.extend(["name", "account_owner"])
    else:
        message.seconds, message.nanos = 1_790_000_000, 123_456_000  # type: ignore[attr-defined]


def _set_scalar(message: Message, field: FieldDescriptor) -> None:
    values = _scalars(field)
    if field.is_repeated:
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, values[-1])


def _set_message(message: Message, field: FieldDescriptor, depth: int) -> None:
    assert field.message_type is not None
    if field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        key = _scalars(field.message_type.fields_by_name["key"])[-1]
        if entry.message_type is None:
            getattr(message, field.name)[key] = _scalars(entry)[-1]
        else:
            getattr(message, field.name)[key].CopyFrom(_filled(entry.message_type, 0, depth - 1))
        return
    inner = _filled(field.message_type, 0, depth - 1)
    if field.is_repeated:
        getattr(message, field.name).append(inner)
    else:
        getattr(message, field.name).CopyFrom(inner)


def _scalars(field: FieldDescriptor) -> list[object]:
    """Values of the field's type; of an enum all that it has."""
    if field.enum_type is not None:
        return [value.number for value in field.enum_type.values if value.number] or [0]
    by_type: dict[int, list[object]] = {
        FieldDescriptor.CPPTYPE_BOOL: [True],
        FieldDescriptor.CPPTYPE_DOUBLE: [1.5],
        FieldDescriptor.CPPTYPE_FLOAT: [1.5],
        FieldDescriptor.CPPTYPE_STRING: [
            bytes(range(8)) if field.type == FieldDescriptor.TYPE_BYTES else f"{field.name} é"
        ],
    }
    return by_type.get(field.cpp_type, [7, 1_000 + field.number])


def main() -> int:
    name = version()
    image, golden = RELEASED / f"{name}.binpb", GOLDEN / name
    if image.exists():
        print(f"{image.name} is kept already: raise the version in pyproject.toml first", file=sys.stderr)
        return 1
    content = IMAGE.read_bytes()
    for folder in (RELEASED, golden):
        folder.mkdir(parents=True, exist_ok=True)
    image.write_bytes(bare_image(content))
    for package, messages in payloads(content).items():
        text = json.dumps(messages, indent=1, ensure_ascii=False, sort_keys=True)
        (golden / f"{package}.json").write_text(text + "\n", encoding="utf-8")
    print(f"kept the contracts of {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
