"""What went over the wire can be read by who has the key, for the tenant it belongs to, and by nobody else."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from libs.common.durable.seal import KEY_BYTES, Sealer

KEY = "ab" * KEY_BYTES


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "seal.key"
    path.write_text(KEY + "\n")
    return path


def exchange(path: Path, text: str, moment: int) -> None:
    """A new key file, as a mounted secret is exchanged."""
    path.write_text(text)
    os.utime(path, ns=(moment, moment))


@given(st.binary(), st.binary(), st.text(max_size=40))
def test_what_was_sealed_is_opened_unchanged(request: bytes, response: bytes, tenant: str) -> None:
    if not (request or response):
        return
    sealer = _sealer_with_a_key()

    assert sealer.open(tenant, sealer.seal(tenant, request, response)) == (request, response)


def _sealer_with_a_key() -> Sealer:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "seal.key"
        path.write_text(KEY)
        return Sealer(path)


def test_a_copy_cannot_be_moved_to_another_tenant(key_file: Path) -> None:
    sealer = Sealer(key_file)

    with pytest.raises(InvalidTag):
        sealer.open("other", sealer.seal("acme", b"asked", b"said"))


def test_a_sealed_copy_shows_nothing_and_no_two_are_alike(key_file: Path) -> None:
    sealer = Sealer(key_file)
    sealed = {sealer.seal("acme", b"asked", b"said") for _ in range(100)}

    assert len(sealed) == 100
    assert not any(b"asked" in copy or b"said" in copy for copy in sealed)


def test_without_a_key_nothing_is_kept() -> None:
    assert Sealer(None).seal("acme", b"asked", b"said") == b""


def test_where_nothing_was_sent_nothing_is_kept(key_file: Path) -> None:
    assert Sealer(key_file).seal("acme", b"", b"") == b""


def test_an_exchanged_key_is_used_from_then_on(key_file: Path) -> None:
    sealer = Sealer(key_file)
    old = sealer.seal("acme", b"asked", b"said")

    exchange(key_file, "cd" * KEY_BYTES, 1)

    assert sealer.open("acme", sealer.seal("acme", b"x", b"y")) == (b"x", b"y")
    with pytest.raises(InvalidTag):
        sealer.open("acme", old)


@pytest.mark.parametrize("broken", [None, "", "no hex", "ab" * 7])
def test_while_the_key_is_exchanged_the_last_one_stays(key_file: Path, broken: str | None) -> None:
    """A delivery must settle whatever becomes of the key."""
    sealer = Sealer(key_file)
    if broken is None:
        key_file.unlink()
    else:
        exchange(key_file, broken, 1)

    assert sealer.open("acme", sealer.seal("acme", b"asked", b"said")) == (b"asked", b"said")


@pytest.mark.parametrize("broken", ["", "no hex", "ab" * 7])
def test_a_process_does_not_start_with_a_key_that_cannot_be_used(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "seal.key"
    path.write_text(broken)

    with pytest.raises(ValueError):
        Sealer(path)


def test_a_process_does_not_start_without_the_key_it_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Sealer(tmp_path / "missing.key")
