"""Identity to token. Open this file to learn how a process signs its own calls and how a developer gets a token."""

import json
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from joserfc import jwk, jwt

from libs.common.clock import Clock, SystemClock
from libs.common.config import ProcessSettings, read_secret
from libs.common.context import MESH_ROLE, MESH_SYSTEM
from libs.common.identity.keys import KEY_KINDS, REGISTRY, ROLES, unauthenticated
from libs.common.ids import new_id

MESH_TOKEN_LIFETIME = timedelta(minutes=5)
MESH_TOKEN_MARGIN = timedelta(minutes=1)
"""A mesh token is renewed so long before it expires."""
MESH_TOKENS_MAX = 1000


class MeshSigner:
    """Signs the tokens of one process; a token is reused until shortly before it expires."""

    def __init__(self, settings: ProcessSettings, process_name: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._process_name = process_name
        self._clock = clock or SystemClock()
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def token(self, tenant: str) -> str:
        """Token with role `mesh` for one tenant. Refused UNAUTHENTICATED when the process has no key."""
        now = self._clock.now().timestamp()
        token, renew_at = self._tokens.get(tenant, ("", 0.0))
        if now < renew_at:
            return token
        token = mint(
            self._private_key(),
            settings=self._settings,
            subject=self._process_name,
            tenant=tenant,
            system=MESH_SYSTEM,
            roles=(MESH_ROLE,),
            lifetime=MESH_TOKEN_LIFETIME,
            clock=self._clock,
        )
        self._tokens[tenant] = (token, now + (MESH_TOKEN_LIFETIME - MESH_TOKEN_MARGIN).total_seconds())
        self._tokens.move_to_end(tenant)
        if len(self._tokens) > MESH_TOKENS_MAX:
            self._tokens.popitem(last=False)
        return token

    def _private_key(self) -> str:
        """Read at each renewal, so that a rotated mount is taken up within minutes."""
        path = self._settings.mesh_key_file
        if path is None:
            raise unauthenticated("this process has no key to sign with; set ORDERMESH_MESH_KEY_FILE")
        return read_secret(path)


def mint(
    private_key: str,
    *,
    settings: ProcessSettings,
    subject: str,
    tenant: str,
    system: str,
    roles: Collection[str],
    lifetime: timedelta = timedelta(hours=1),
    clock: Clock | None = None,
) -> str:
    """A signed token. private_key: one JWK as JSON. ValueError for a role that does not exist."""
    unknown = set(roles) - ROLES
    if unknown:
        raise ValueError(f"no such role: {', '.join(sorted(unknown))}; there are {', '.join(sorted(ROLES))}")
    key = jwk.import_key(json.loads(private_key))
    now = int((clock or SystemClock()).now().timestamp())
    claims = {
        "iss": settings.issuer,
        "aud": settings.audience,
        "sub": subject,
        "tenant": tenant,
        "system": system,
        "roles": sorted(roles),
        "iat": now,
        "nbf": now,
        "exp": now + int(lifetime.total_seconds()),
        "jti": new_id("jti"),
    }
    key.ensure_kid()
    return jwt.encode({"alg": KEY_KINDS[key.key_type], "kid": key.kid}, claims, key, registry=REGISTRY)


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A development key: private half for ORDERMESH_MESH_KEY_FILE, public half for ORDERMESH_JWKS_FILE."""

    private_jwk: str
    public_jwks: str


def new_keys() -> KeyPair:
    """A fresh Ed25519 pair, both halves as JSON text."""
    key = jwk.OKPKey.generate_key("Ed25519", {"alg": "EdDSA", "use": "sig"}, auto_kid=True)
    public = {"keys": [key.as_dict(private=False)]}
    return KeyPair(json.dumps(key.as_dict(private=True)), json.dumps(public))
