"""Comments of the contracts, which become descriptions. Open this file when a description is missing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonpb
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto, FileDescriptorProto, FileDescriptorSet

IMAGE = Path(next(iter(jsonpb.__path__))).parent / "contracts.binpb"
"""All files with their comments, written by `protos/generate.py`."""
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED, METHODS, VALUES = 2, 3, 2, 2
"""Field numbers of descriptor.proto, of which the paths in the source information are made."""

Comments = Mapping[str, str]
"""By full name: `ordermesh.order.v1.Order.memo`."""
Path_ = tuple[int, ...]


def read_comments(image: Path = IMAGE) -> Comments:
    """Every comment of every contract, on one line each."""
    files = FileDescriptorSet.from_binary(image.read_bytes()).file
    return {name: text for file in files for name, text in _comments_of(file)}


def _comments_of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    info = file.source_code_info
    if info is None:
        return
    texts = {tuple(place.path): _one_line(place.leading_comments) for place in info.location}
    for path, name in _named(file):
        text = texts.get(path, "")
        if text:
            yield f"{file.package}.{name}", text


def _named(file: FileDescriptorProto) -> Iterator[tuple[Path_, str]]:
    """Path in the source information and name within the package, of everything that may carry a comment."""
    for index, message in enumerate(file.message_type):
        yield from _named_in(message, (MESSAGES, index), message.name)
    for index, enum in enumerate(file.enum_type):
        yield (ENUMS, index), enum.name
        for number, value in enumerate(enum.value):
            yield (ENUMS, index, VALUES, number), f"{enum.name}.{value.name}"
    for index, service in enumerate(file.service):
        yield (SERVICES, index), service.name
        for number, method in enumerate(service.method):
            yield (SERVICES, index, METHODS, number), f"{service.name}.{method.name}"


def _named_in(message: DescriptorProto, path: Path_, name: str) -> Iterator[tuple[Path_, str]]:
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, FIELDS, index), f"{name}.{field.name}"
    for index, inner in enumerate(message.nested_type):
        yield from _named_in(inner, (*path, NESTED, index), f"{name}.{inner.name}")


def _one_line(comment: str) -> str:
    return " ".join(comment.split())
