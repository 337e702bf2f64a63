"""Development keys and tokens; open it to see what `ordermesh token` signs with.

Two pairs in DATA/keys: the issuer's, for people and systems that call the gateway, and the mesh's, with which
processes speak to each other. `jwks.json` holds the public halves, `seal.json` the secrets under which services
keep originals, a key for each tenant. A production mesh brings its own issuer and keys instead.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from libs.cli.files import write_whole
from libs.common.config import ProcessSettings, read_secret
from libs.common.identity import mint, new_keys

SECRET_BYTES = 32
LIFETIME_MAX = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the keys of one data directory lie."""

    folder: Path

    @property
    def issuer(self) -> Path:
        return self.folder / "issuer.jwk"

    @property
    def mesh(self) -> Path:
        return self.folder / "mesh.jwk"

    @property
    def seal(self) -> Path:
        return self.folder / "seal.json"

    @property
    def simulator_secret(self) -> Path:
        """What connectors show to simulators, which take any."""
        return self.folder / "simulator.secret"

    @property
    def public(self) -> Path:
        return self.folder / "jwks.json"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for."""

    tenant: str = "acme"
    system: str = ""
    """Empty for a person."""
    roles: Collection[str] = ("integration",)
    subject: str = "developer"


def make_keys(files: KeyFiles) -> None:
    """Makes the keys unless they are there: tokens outlive a restart."""
    if files.public.exists():
        return
    files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    issuer, mesh = new_keys(), new_keys()
    write_whole(files.issuer, issuer.private_jwk)
    write_whole(files.mesh, mesh.private_jwk)
    write_whole(files.simulator_secret, secrets.token_hex(SECRET_BYTES))
    public = [key for pair in (issuer, mesh) for key in json.loads(pair.public_jwks)["keys"]]
    write_whole(files.public, json.dumps({"keys": public}, indent=2), mode=0o644)


def token_for(files: KeyFiles, bearer: Bearer, settings: ProcessSettings, lifetime: timedelta) -> str:
    """A token of at most 30 days.

    Raises FileNotFoundError before `make_keys`, ValueError for an unknown role.
    """
    return mint(
        read_secret(files.issuer),
        settings=settings,
        subject=bearer.subject,
        tenant=bearer.tenant,
        system=bearer.system,
        roles=bearer.roles,
        lifetime=min(lifetime, LIFETIME_MAX),
    )
