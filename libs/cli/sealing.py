"""`ordermesh seal-keys add` and `shred`: the keys that services seal originals under, one file for all tenants.

Open it to see what the file looks like, or which step makes what was kept unreadable. Running services take a changed
file up by themselves. `ordermesh up` makes a key for each tenant of its topology.
"""

import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from libs.cli.config import surroundings
from libs.cli.files import write_whole
from libs.cli.instance import NotRunning, find
from libs.cli.options import DataOption
from libs.common.clock import SystemClock
from libs.common.durable.seal import KEY_BYTES, parse_keys

Keys = dict[str, dict[str, str]]
TenantChoice = Annotated[str, typer.Option("--tenant", help="Whose keys; required.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="File of the keys. Default: the one of the running mesh.")
]


def build() -> typer.Typer:
    """The group of subcommands."""
    group = typer.Typer(help="Keys of sealed originals: add, shred.", no_args_is_help=True)
    group.command()(add)
    group.command()(shred)
    return group


def add(tenant: TenantChoice, file: FileOption = None, data: DataOption = None) -> None:
    """Makes a tenant's next key: from now on it seals, the older ones still open."""
    path = _file(file, data)
    keys = read_keys(path) if path.exists() else {}
    key_id = add_key(keys, tenant, SystemClock().now())
    write_keys(path, keys)
    typer.echo(f"{tenant}: {key_id} seals from now on")


def shred(
    tenant: TenantChoice,
    key: Annotated[str, typer.Option("--key", help="Only this key. Default: all of the tenant's.")] = "",
    file: FileOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
) -> None:
    """Takes keys away: what they have sealed can never be read or replayed again."""
    path = _file(file, data)
    keys = read_keys(path)
    gone = [each for each in keys.get(tenant, {}) if key in ("", each)]
    if not gone:
        raise typer.BadParameter(f"there is no such key of {tenant}")
    if not yes:
        typer.confirm(f"What {', '.join(gone)} of {tenant} sealed is lost for ever. Go on?", abort=True)
    for each in gone:
        del keys[tenant][each]
    write_keys(path, {owner: held for owner, held in keys.items() if held})
    typer.echo(f"{tenant}: {', '.join(gone)} taken away; destroy the copies of the file, too")


def ensure_keys(path: Path, tenants: Iterable[str]) -> None:
    """A key for each tenant that has none."""
    keys = read_keys(path) if path.exists() else {}
    missing = [tenant for tenant in sorted(tenants) if not keys.get(tenant)]
    for tenant in missing:
        add_key(keys, tenant, SystemClock().now())
    if missing:
        write_keys(path, keys)


def add_key(keys: Keys, tenant: str, now: datetime) -> str:
    """The id of a fresh key, which is the tenant's last; named for its day, so that a period can be shredded."""
    held = keys.setdefault(tenant, {})
    day, number = f"{now:%Y-%m-%d}", 1
    while (key_id := f"{day}.{number}") in held:
        number += 1
    held[key_id] = secrets.token_hex(KEY_BYTES)
    return key_id


def read_keys(path: Path) -> Keys:
    """Raises OSError, ValueError."""
    text = path.read_text(encoding="utf-8")
    parse_keys(text)
    keys: Keys = json.loads(text)
    return keys


def write_keys(path: Path, keys: Keys) -> None:
    write_whole(path, json.dumps(keys, indent=2) + "\n")


def _file(file: Path | None, data: Path | None) -> Path:
    if file is not None:
        return file
    try:
        where, _ = find(data, surroundings())
    except NotRunning as error:
        typer.echo(f"ordermesh: {error}", err=True)
        raise typer.Exit(1) from error
    return where.keys.seal
