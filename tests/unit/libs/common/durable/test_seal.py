"""What is sealed can be read by who has its key, for the tenant it belongs to, and by nobody else."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.durable.seal import KEY_BYTES, MARK, Sealer
from libs.common.errors import Refused

OLD, NEW, OTHER = "ab" * KEY_BYTES, "cd" * KEY_BYTES, "ef" * KEY_BYTES
Keys = Mapping[str, Mapping[str, object]]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "seal.json"
    path.write_text(json.dumps({"acme": {"1": OLD}, "other": {"1": OLD}}) + "\n")
    return path


def exchange(path: Path, keys: Keys | str, moment: int) -> None:
    """A new file, as a mounted secret is exchanged."""
    path.write_text(keys if isinstance(keys, str) else json.dumps(keys))
    os.utime(path, ns=(moment, moment))


def refusal_of(sealer: Sealer, tenant: str, sealed: bytes | None) -> str:
    with pytest.raises(Refused) as refused:
        sealer.open(tenant, sealed or b"")
    return refused.value.reason


@given(st.binary(), st.binary())
def test_what_was_sealed_is_opened_unchanged(request: bytes, response: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "seal.json"
        path.write_text(json.dumps({"acme": {"1": OLD}}))
        sealer = Sealer(path)

    assert sealer.open("acme", sealer.seal("acme", request) or b"") == request
    if request or response:
        exchanged = sealer.seal_exchange("acme", request, response)
        assert sealer.open_exchange("acme", exchanged) == (request, response)


def test_a_copy_cannot_be_moved_to_another_tenant_even_under_the_same_key(keys_file: Path) -> None:
    sealer = Sealer(keys_file)

    assert refusal_of(sealer, "other", sealer.seal("acme", b"asked")) == "ORIGINAL_UNREADABLE"


def test_a_changed_copy_is_refused_wherever_it_was_changed(keys_file: Path) -> None:
    sealer = Sealer(keys_file)
    sealed = sealer.seal("acme", b"asked")
    assert sealed is not None
    for place in range(len(MARK), len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert refusal_of(sealer, "acme", bytes(changed)) == "ORIGINAL_UNREADABLE"
    for length in range(len(MARK), len(sealed)):
        assert refusal_of(sealer, "acme", sealed[:length]) == "ORIGINAL_UNREADABLE"


def test_a_sealed_copy_shows_nothing_and_no_two_are_alike(keys_file: Path) -> None:
    sealer = Sealer(keys_file)
    sealed = {sealer.seal_exchange("acme", b"asked", b"said") for _ in range(100)}

    assert len(sealed) == 100
    assert not any(b"asked" in copy or b"said" in copy for copy in sealed)


def test_without_a_key_nothing_of_the_wire_is_kept(keys_file: Path) -> None:
    assert Sealer(None).seal_exchange("acme", b"asked", b"said") == b""
    assert Sealer(keys_file).seal_exchange("globex", b"asked", b"said") == b""
    assert Sealer(keys_file).seal("globex", b"asked") is None


def test_where_nothing_was_sent_nothing_is_kept(keys_file: Path) -> None:
    assert Sealer(keys_file).seal_exchange("acme", b"", b"") == b""


def test_what_is_not_sealed_is_read_as_it_is(keys_file: Path) -> None:
    assert Sealer(keys_file).open("acme", b"\x0a\x01x") == b"\x0a\x01x"


def test_after_a_rotation_the_newest_key_seals_and_older_ones_still_open(keys_file: Path) -> None:
    sealer = Sealer(keys_file)
    old = sealer.seal("acme", b"before")
    exchange(keys_file, {"acme": {"1": OLD, "2": NEW}}, 1)
    new = sealer.seal("acme", b"after")
    assert old and new

    assert (sealer.open("acme", old), sealer.open("acme", new)) == (b"before", b"after")
    exchange(keys_file, {"acme": {"2": NEW}}, 2)
    assert sealer.open("acme", new) == b"after"
    assert refusal_of(sealer, "acme", old) == "ORIGINAL_UNREADABLE"


def test_a_tenant_that_is_shredded_is_unreadable_and_the_others_are_not(keys_file: Path) -> None:
    sealer = Sealer(keys_file)
    gone, kept = sealer.seal("acme", b"a"), sealer.seal("other", b"b")
    exchange(keys_file, {"other": {"1": OLD}}, 1)

    assert refusal_of(sealer, "acme", gone) == "ORIGINAL_UNREADABLE"
    assert sealer.open("other", kept or b"") == b"b"
    exchange(keys_file, {"acme": {"1": OTHER}, "other": {"1": OLD}}, 2)
    assert refusal_of(sealer, "acme", gone) == "ORIGINAL_UNREADABLE"


@pytest.mark.parametrize("broken", [None, "", "no json", '{"acme": {"1": "ab"}}'])
def test_while_the_file_is_exchanged_the_last_keys_stay(keys_file: Path, broken: str | None) -> None:
    """A delivery must settle whatever becomes of the keys."""
    sealer = Sealer(keys_file)
    if broken is None:
        keys_file.unlink()
    else:
        exchange(keys_file, broken, 1)

    sealed = sealer.seal_exchange("acme", b"asked", b"said")
    assert sealer.open_exchange("acme", sealed) == (b"asked", b"said")


@pytest.mark.parametrize(
    "broken",
    [
        "", "no json", "[]", '{"acme": []}', '{"acme": {"1": 7}}', '{"acme": {"1": "xyz"}}',
        json.dumps({"acme": {"1": "ab" * 7}}), json.dumps({"acme": {"": OLD}}),
        json.dumps({"acme": {"k" * 65: OLD}}),
    ],
)  # fmt: skip
def test_a_process_does_not_start_with_keys_that_cannot_be_used(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "seal.json"
    path.write_text(broken)

    with pytest.raises(ValueError) as error:
        Sealer(path)
    assert OLD not in str(error.value)
    assert error.value.__cause__ is None


def test_a_process_does_not_start_without_the_keys_it_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Sealer(tmp_path / "missing.json")
