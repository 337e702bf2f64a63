"""Algorithms, roles and public keys. Open this file to learn which keys count and when they are read."""

import json
from collections.abc import Mapping
from pathlib import Path

import structlog
from joserfc import errors as jose
from joserfc import jwk, jws
from joserfc.jwa import JWSAlgModel
from ordermesh.common.v1 import access_pb2

from libs.common.errors import Refused

LOG = structlog.get_logger(__name__)
KEY_KINDS: Mapping[str, str] = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256"}
ALGORITHMS = tuple(KEY_KINDS.values())
RELOAD_SECONDS = 1.0
"""Least time between two looks at the JWKS file, whatever tokens come."""

ROLES = frozenset(
    name.removeprefix("ROLE_").lower()
    for name in access_pb2.Role.DESCRIPTOR.values_by_name
    if name != "ROLE_UNSPECIFIED"
)
"""Role names as tokens carry them; others in a token are ignored."""


class Registry(jws.JWSRegistry):
    """Our algorithms by the names RFC 8037 gave them: the library would warn that RFC 9864 prefers `Ed25519` to
    `EdDSA`, which issuers in use do not write yet."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise jose.UnsupportedAlgorithmError(name)
        return self.algorithms[name]


REGISTRY = Registry(algorithms=ALGORITHMS, strict_check_header=False)


class KeyFile:
    """Public keys of a JWKS file that may change at any time.

    A file that cannot be read leaves the last keys in use.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self.generation = 0
        """Goes up whenever keys were read anew."""
        self._keys: Mapping[str, jwk.Key] = {}

    def find(self, kid: str, now: float) -> jwk.Key | None:
        """now: Unix time."""
        self.look(now)
        return self._keys.get(kid)

    def look(self, now: float) -> None:
        """Reads the file when it changed, at most once in RELOAD_SECONDS."""
        if self._path is None or 0 <= now - self._looked_at < RELOAD_SECONDS:
            return
        self._looked_at = now
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._keys = public_keys(self._path.read_text(encoding="utf-8"))
                self._stamp = stamp
                self.generation += 1
        except (OSError, ValueError, jose.JoseError) as error:
            LOG.warning("the JWKS file cannot be read", path=self._path, error=error)


def public_keys(text: str) -> Mapping[str, jwk.Key]:
    """Keys by id; kinds that cannot verify our algorithms are left out."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWKS document")
    entries = [
        entry for entry in document["keys"] if isinstance(entry, dict) and entry.get("kty") in KEY_KINDS
    ]
    keys = [jwk.import_key(entry) for entry in entries]
    for key in keys:
        key.ensure_kid()
    return {key.kid: key for key in keys if key.kid}


def unauthenticated(detail: str) -> Refused:
    return Refused("UNAUTHENTICATED", detail)
