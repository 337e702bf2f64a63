"""Sealing keys on the command line: the newest seals, older ones open, and what is taken away is gone."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.cli.__main__ import build
from libs.cli.sealing import Keys, add_key, ensure_keys, read_keys
from libs.common.durable.seal import Sealer
from libs.common.errors import Refused


def run(*words: str, says: str = "") -> int:
    return CliRunner().invoke(build(), ["seal-keys", *words], input=says).exit_code


def test_keys_are_added_at_the_end_and_shredded_one_by_one_or_all(tmp_path: Path) -> None:
    path = tmp_path / "seal.json"
    assert run("add", "--tenant", "acme", "--file", str(path)) == 0
    old = Sealer(path).seal("acme", b"x") or b""
    assert run("add", "--tenant", "acme", "--file", str(path)) == 0
    assert run("add", "--tenant", "globex", "--file", str(path)) == 0
    first, second = read_keys(path)["acme"]
    assert second.encode() in (Sealer(path).seal("acme", b"x") or b"")
    assert Sealer(path).open("acme", old) == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    shred = ("shred", "--tenant", "acme", "--file", str(path))
    assert run(*shred, "--key", first, says="n\n") != 0
    assert first in read_keys(path)["acme"]
    assert run(*shred, "--key", first, "--yes") == 0
    with pytest.raises(Refused, match="ORIGINAL_UNREADABLE"):
        Sealer(path).open("acme", old)
    assert run(*shred, says="y\n") == 0
    assert list(read_keys(path)) == ["globex"]
    assert run(*shred, "--yes") != 0


def test_a_key_bears_its_day(tmp_path: Path) -> None:
    keys: Keys = {}
    day = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    assert [add_key(keys, "acme", day) for _ in range(2)] == ["2026-03-01.1", "2026-03-01.2"]


def test_each_tenant_of_a_mesh_gets_a_key_once(tmp_path: Path) -> None:
    path = tmp_path / "seal.json"
    ensure_keys(path, ["acme"])
    before = read_keys(path)
    ensure_keys(path, ["acme", "globex"])
    assert list(read_keys(path)) == ["acme", "globex"]
    assert read_keys(path)["acme"] == before["acme"]
