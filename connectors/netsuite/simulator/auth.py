"""Who may call: OAuth 2.0 client credentials and, for older clients, token-based authentication. Open it for 401s.

Access tokens are remembered in the store: a vendor does not forget them when its server restarts.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kit.simulator import ExactJSONResponse, Store, loads
from connectors.netsuite.simulator import tba
from connectors.netsuite.simulator.account import text
from connectors.netsuite.simulator.errors import NetSuiteReplies, invalid_login

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105  a path
ALGORITHMS = ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE_MAX = timedelta(minutes=60)
_CLOCK_LEEWAY = timedelta(seconds=60)
_TOKEN = "_token"  # noqa: S105  a kind of document
_JWT_PARTS = 3


@dataclass(frozen=True, slots=True)
class Integration:
    """What the account knows of its callers. Without a key any well-formed assertion will do, on any laptop."""

    client_id: str = ""
    certificate_id: str = ""
    """The `kid` that NetSuite shows after the certificate's upload. Empty: not compared."""
    public_key: Key | None = None
    token_seconds: int = 3600
    tba_secrets: tba.Secrets | None = None


class Gate:
    """Issues access tokens and recognises them."""

    def __init__(self, store: Store, integration: Integration) -> None:
        self._store = store
        self._integration = integration

    def routes(self) -> list[BaseRoute]:
        return [Route(TOKEN_PATH, self.issue, methods=["POST"])]

    async def issue(self, request: Request) -> Response:
        """The token endpoint. Refusals are OAuth's own JSON, not NetSuite's."""
        form = {
            name: values[-1] for name, values in parse_qs((await request.body()).decode("latin-1")).items()
        }
        if form.get("grant_type") != "client_credentials":
            return _oauth_error("unsupported_grant_type")
        if form.get("client_assertion_type") != _ASSERTION_TYPE or "client_assertion" not in form:
            return _oauth_error("invalid_request")
        if not self._trusts(form["client_assertion"]):
            return _oauth_error("invalid_grant")
        token, seconds = secrets.token_urlsafe(48), self._integration.token_seconds
        with self._store.change(counted=False) as change:
            for old in self._store.all(_TOKEN):
                if _expiry(old.body) < change.now:
                    change.remove(_TOKEN, old.id)
            change.add(_TOKEN, token, {"expires": (change.now + timedelta(seconds=seconds)).isoformat()})
        return ExactJSONResponse({"access_token": token, "expires_in": seconds, "token_type": "bearer"})

    def authenticate(self, request: Request) -> None:
        """Raises NetSuiteError 401."""
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        known = False
        if scheme.lower() == "bearer":
            token = self._store.get(_TOKEN, credential.strip())
            known = token is not None and _expiry(token.body) >= self._store.now()
        elif scheme.lower() == "oauth":
            # `request.url` as sent: the signature covers the address the caller believes in.
            known = tba.verify(request.method, str(request.url), credential, self._integration.tba_secrets)
        if not known:
            raise invalid_login()

    def revoke(self, request: Request) -> None:
        """Forgets the token that the request carries."""
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        if self._store.get(_TOKEN, token) is not None:
            with self._store.change(counted=False) as change:
                change.remove(_TOKEN, token)

    def _trusts(self, assertion: str) -> bool:
        key = self._integration.public_key
        try:
            if key is not None:
                verified = jwt.decode(assertion, key, algorithms=ALGORITHMS)
                header, claims = verified.header, verified.claims
            else:
                opened = jws.extract_compact(assertion.encode())
                header, claims = opened.headers(), _object(loads(opened.payload or b""))
        except (JoseError, ValueError):
            return False
        wanted = self._integration
        return (
            header.get("alg") in ALGORITHMS
            and bool(header.get("kid"))
            and wanted.certificate_id in ("", header.get("kid"))
            and wanted.client_id in ("", claims.get("iss"))
            and bool(claims.get("iss"))
            and urlsplit(str(claims.get("aud"))).path == TOKEN_PATH
            and "rest_webservices" in _scopes(claims.get("scope"))
            and self._is_current(claims)
        )

    def _is_current(self, claims: Mapping[str, Any]) -> bool:
        try:
            issued, expires = int(claims["iat"]), int(claims["exp"])
        except (KeyError, TypeError, ValueError):
            return False
        now, leeway = self._store.now().timestamp(), _CLOCK_LEEWAY.total_seconds()
        return (
            issued <= now + leeway
            and now < expires + leeway
            and expires - issued <= _ASSERTION_LIFE_MAX.total_seconds()
        )


class GuardedReplies(NetSuiteReplies):
    """NetSuite's failures; an expired token stays expired."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def expired_token(self, request: Request) -> Response:
        self._gate.revoke(request)
        return invalid_login().response()


def _oauth_error(code: str) -> Response:
    status = 401 if code == "invalid_client" else 400
    return ExactJSONResponse({"error": code}, status, {"Cache-Control": "no-store"})


def _expiry(body: dict[str, object]) -> datetime:
    return datetime.fromisoformat(text(body, "expires"))


def _scopes(value: object) -> list[str]:
    return (
        [str(scope) for scope in value] if isinstance(value, list) else str(value).replace(",", " ").split()
    )


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError
    return value
