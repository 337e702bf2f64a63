"""Logging in: the token endpoint, its companions, and who a session belongs to.

Any user name and secret is accepted unless the simulator was started with a client secret; the password, secret or
code `wrong` never is. Sessions live in memory: after a restart a client logs in again, as after any expiry.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.kit.simulator import Clock, JsonObject, loads

from . import errors
from .org import ORG_ID, Session

WRONG = "wrong"  # Refused wherever a password, a secret or a code is asked for.
SESSION_SPAN = timedelta(hours=2)  # Sliding: every call starts it anew.
_JWT_TOLERANCE = timedelta(minutes=3)
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SIGNING_KEY = b"simulator"

Form = Mapping[str, str]


class OAuthError(Exception):
    """A refusal of the token endpoint: HTTP 400 with `error` and `error_description`."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.body: JsonObject = {"error": error, "error_description": description}


@dataclass(frozen=True)
class Users:
    """integration: whom client credentials and JWT run as. sales: everybody else, the seeded data included."""

    integration: str
    sales: str
    integration_name: str = "integration@ordermesh.example"
    sales_name: str = "sales@ordermesh.example"

    def named(self, username: str) -> str:
        return self.integration if username.lower() == self.integration_name else self.sales

    def name_of(self, user_id: str) -> str:
        return self.integration_name if user_id == self.integration else self.sales_name


@dataclass
class _Open:
    session: Session
    until: datetime


class Sessions:
    """The sessions that are open, by token."""

    def __init__(
        self, users: Users, clock: Clock, *, client_secret: str = "", span: timedelta = SESSION_SPAN
    ) -> None:
        self.users = users
        self._clock = clock
        self._client_secret = client_secret
        self._span = span
        self._open: dict[str, _Open] = {}
        self._refreshable: dict[str, str] = {}  # Refresh token → user id.
        self._opened = 0

    # Sessions

    def open(self, user_id: str) -> str:
        """A new token: the org's 15-character id, `!` and an opaque rest, as clients expect."""
        self._opened += 1
        made = f"{self._opened} {user_id} {self._clock().isoformat()}"
        token = f"{ORG_ID[:15]}!AQ.{hmac.new(_SIGNING_KEY, made.encode(), hashlib.sha256).hexdigest()}"
        self._open[token] = _Open(Session(user_id), self._clock() + self._span)
        return token

    def session(self, authorization: str) -> Session:
        """Whose token this is. Raises INVALID_SESSION_ID for an unknown, revoked or expired one."""
        token = token_in(authorization)
        found = self._open.get(token)
        now = self._clock()
        if found is None or found.until <= now:
            self._open.pop(token, None)
            raise errors.session_expired()
        found.until = now + self._span
        return found.session

    def close(self, token: str) -> None:
        self._open.pop(token, None)
        self._refreshable.pop(token, None)

    # The token endpoint

    def grant(self, form: Form, authorization: str, origin: str) -> JsonObject:
        """The answer to one token request. origin: scheme, host and port that the caller used."""
        kind = form.get("grant_type", "")
        if kind == _JWT_GRANT:
            _check_assertion(form.get("assertion", ""), self._clock())
            return self._granted(self.users.integration, origin)
        self._check_client(form, authorization)
        if kind == "client_credentials":
            return self._granted(self.users.integration, origin)
        if kind == "password":
            if form.get("password", WRONG) == WRONG or not form.get("username"):
                raise OAuthError("invalid_grant", "authentication failure")
            return self._granted(self.users.named(form["username"]), origin, refreshable=True)
        if kind == "authorization_code":
            if form.get("code", WRONG) == WRONG:
                raise OAuthError("invalid_grant", "invalid authorization code")
            return self._granted(self.users.sales, origin, refreshable=True)
        if kind == "refresh_token":
            user_id = self._refreshable.get(form.get("refresh_token", ""))
            if user_id is None:
                raise OAuthError("invalid_grant", "expired access/refresh token")
            return self._granted(user_id, origin)
        raise OAuthError("unsupported_grant_type", "grant type not supported")

    def _check_client(self, form: Form, authorization: str) -> None:
        client_id, secret = _basic(authorization) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        if not client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        needs_secret = form.get("grant_type") in ("client_credentials", "password")
        if secret == WRONG or (needs_secret and not secret):
            raise OAuthError("invalid_client", "invalid client credentials")
        if self._client_secret and secret and secret != self._client_secret:
            raise OAuthError("invalid_client", "invalid client credentials")

    def _granted(self, user_id: str, origin: str, *, refreshable: bool = False) -> JsonObject:
        identity = f"{origin}/id/{ORG_ID}/{user_id}"
        issued_at = str(int(self._clock().timestamp() * 1000))
        digest = hmac.new(_SIGNING_KEY, (identity + issued_at).encode(), hashlib.sha256).digest()
        answer: JsonObject = {
            "access_token": self.open(user_id),
            "signature": base64.b64encode(digest).decode(),
            "scope": "api id",
            "instance_url": origin,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
        if refreshable:
            refresh_token = f"5Aep861.{hashlib.sha256(str(answer['access_token']).encode()).hexdigest()}"
            self._refreshable[refresh_token] = user_id
            answer["refresh_token"] = refresh_token
        return answer

    # Companions

    def introspect(self, token: str, origin: str) -> JsonObject:
        found = self._open.get(token)
        if found is None or found.until <= self._clock():
            return {"active": False}
        user_id = found.session.user_id
        until, since = int(found.until.timestamp()), int((found.until - self._span).timestamp())
        return {
            "active": True,
            "scope": "api id",
            "client_id": "ordermesh",
            "username": self.users.name_of(user_id),
            "sub": f"{origin}/id/{ORG_ID}/{user_id}",
            "token_type": "access_token",
            "exp": until,
            "iat": since,
            "nbf": since,
        }

    def identity(self, user_id: str, origin: str) -> JsonObject:
        """What `userinfo` and the identity URL tell of a user; both clients read ids and names from it."""
        name = self.users.name_of(user_id)
        return {
            "id": f"{origin}/id/{ORG_ID}/{user_id}",
            "sub": f"{origin}/id/{ORG_ID}/{user_id}",
            "user_id": user_id,
            "organization_id": ORG_ID,
            "username": name,
            "preferred_username": name,
            "display_name": name.partition("@")[0],
            "name": name.partition("@")[0],
            "nick_name": name.partition("@")[0],
            "email": name,
            "email_verified": True,
            "zoneinfo": "GMT",
            "active": True,
            "user_type": "STANDARD",
        }


def token_in(authorization: str) -> str:
    """The token of a `Bearer` or, as older clients write it, an `OAuth` header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "oauth") else ""


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client_id, secret


def _check_assertion(assertion: str, now: datetime) -> None:
    """Shape and expiry of a JWT; its signature is taken on trust. `exp` may be a number or text, as clients send it."""
    try:
        header, claims, _ = assertion.split(".")
        algorithm, wanted = _decoded(header).get("alg"), _decoded(claims)
        expires = int(str(wanted.get("exp", "0")))
    except ValueError:
        raise OAuthError("invalid_grant", "invalid assertion") from None
    if algorithm != "RS256" or not wanted.get("iss") or not wanted.get("sub"):
        raise OAuthError("invalid_grant", "invalid assertion")
    if expires < (now - _JWT_TOLERANCE).timestamp():
        raise OAuthError("invalid_grant", "expired authorization code")


def _decoded(part: str) -> JsonObject:
    value = loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
