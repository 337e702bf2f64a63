"""Compiles the contracts. Open this file when `protos/gen` lacks something or a plugin changes.

Writes `protos/gen/` (not committed):

    ordermesh/…/*_pb2.py, *_pb2_grpc.py, .pyi   google.protobuf classes and grpc.aio stubs, for services and connectors
    jsonpb/…/*_pb.py                            the same messages for protobuf-py, for the gateway's JSON edge
    contracts.binpb                             all files with comments, for OpenAPI, `buf lint` and `buf breaking`

A digest of the inputs makes repeated runs free.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import google.api
import grpc_tools
from grpc_tools import protoc
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorSet
from protovalidate import Violation  # noqa: F401  (fails early where the compiled engine is missing)
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent
GEN = ROOT / "gen"
STAMP = GEN / ".stamp"
PLUGINS = ("grpcio-tools", "mypy-protobuf", "protoc-gen-py", "protovalidate", "googleapis-common-protos")
VENDORED = (
    "buf/validate/validate.proto",
    "google/api/annotations.proto",
    "google/api/field_behavior.proto",
    "google/api/http.proto",
    "google/type/date.proto",
    "google/type/decimal.proto",
    "google/type/money.proto",
)


def inputs_digest(sources: list[Path]) -> str:
    """SHA-256 over the contracts, this file and the plugins' versions."""
    digest = hashlib.sha256()
    for path in (*sources, Path(__file__)):
        digest.update(path.read_bytes())
    digest.update("".join(f"{name}={version(name)}" for name in PLUGINS).encode())
    return digest.hexdigest()


def validate_descriptors() -> bytes:
    """The rules' own descriptors, taken from the installed engine so that both always match."""
    return FileDescriptorSet(file=[validate_pb.FieldRules.desc().file.proto]).to_binary()


def run_protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed; see above")


def compile_contracts(names: list[str], out: Path, validate_set: Path) -> None:
    common = [
        f"-I{ROOT}",
        f"-I{Path(google.api.__path__[0]).parent.parent}",
        f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
        f"--descriptor_set_in={validate_set}",
    ]
    python = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    python += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    run_protoc(*common, *python, "buf/validate/validate.proto", *names)
    (out / "jsonpb").mkdir()
    run_protoc(*common, f"--py_out={out / 'jsonpb'}", *VENDORED, *names)
    image = out / "contracts.binpb"
    run_protoc(*common, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}", *names)


def main() -> None:
    sources = sorted((ROOT / "ordermesh").rglob("*.proto"))
    digest = inputs_digest(sources)
    if STAMP.exists() and STAMP.read_text() == digest:
        return
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with tempfile.TemporaryDirectory(dir=ROOT) as scratch:
        out = Path(scratch) / "gen"
        out.mkdir()
        validate_set = Path(scratch) / "validate.binpb"
        validate_set.write_bytes(validate_descriptors())
        compile_contracts([str(path.relative_to(ROOT)) for path in sources], out, validate_set)
        (out / STAMP.name).write_text(digest)
        shutil.rmtree(GEN, ignore_errors=True)
        out.rename(GEN)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(GEN)], check=True)


if __name__ == "__main__":
    main()
