"""Token to Identity. Open this file to learn what makes a token valid."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from joserfc import errors as jose
from joserfc import jwk, jwt

from libs.common.clock import Clock, SystemClock
from libs.common.config import ProcessSettings
from libs.common.context import MESH_ROLE
from libs.common.identity.keys import ALGORITHMS, REGISTRY, ROLES, KeyFile, unauthenticated
from libs.common.identity.remote import key_url

SKEW_SECONDS = 60
"""Difference between two machines' clocks that a token survives."""
TOKEN_CHARACTERS_MAX = 8192
VERIFIED_MAX = 10_000
"""Verified tokens remembered; the oldest goes first."""
NAME_CHARACTERS_MAX = 255
OUTSIDE_ROLES = ROLES - {MESH_ROLE}


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller."""

    subject: str
    tenant: str
    system: str
    """System the caller is, for example `salesforce`. Empty for a person."""
    roles: frozenset[str]
    expires_at: float
    """Unix time after which the token is refused, skew not counted."""


class Verifier:
    """Verifies tokens; one per process.

    A token verified once costs a digest until it expires or the keys change.
    """

    def __init__(self, settings: ProcessSettings, clock: Clock | None = None) -> None:
        self._keys = KeyFile(settings.jwks_file)
        self._remote = tuple(key_url(url) for url in settings.jwks_urls.split(",") if url)
        self._clock = clock or SystemClock()
        self._verified: OrderedDict[bytes, Identity] = OrderedDict()
        self._generation = 0
        self._expected: dict[str, jwt.ClaimsOption] = {
            "iss": {"essential": True, "value": settings.issuer},
            "aud": {"essential": True, "value": settings.audience},
            "exp": {"essential": True},
            "sub": {"essential": True},
            "tenant": {"essential": True},
        }

    def verify(self, token: str) -> Identity:
        """Raises Refused UNAUTHENTICATED."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise unauthenticated("the token is too long")
        now = self._clock.now().timestamp()
        self._keys.look(now)
        generation = self._keys.generation
        for keys in self._remote:
            generation += keys.generation
        if generation != self._generation:
            self._verified.clear()
            self._generation = generation
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        identity = self._verified.get(digest)
        if identity is None:
            identity = self._verify_signed(token, now)
            self._verified[digest] = identity
            if len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        elif identity.expires_at + SKEW_SECONDS <= now:
            del self._verified[digest]
            raise unauthenticated("the token has expired")
        return identity

    def _verify_signed(self, token: str, now: float) -> Identity:
        try:
            decoded = jwt.decode(token, lambda obj: self._key_for(obj.headers(), now), registry=REGISTRY)
            registry = jwt.JWTClaimsRegistry(now=int(now), leeway=SKEW_SECONDS, **self._expected)
            registry.validate(decoded.claims)
        except jose.JoseError as error:
            raise unauthenticated(_safe_detail(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise unauthenticated("the token is not a JWT") from error
        return _identity_in(decoded.claims, mesh=self._is_ours(decoded.header, now))

    def _is_ours(self, headers: Mapping[str, object], now: float) -> bool:
        """Only a key of the file signs for processes of the mesh: an outside issuer speaks for outside callers."""
        return not self._remote or self._keys.find(str(headers.get("kid")), now) is not None

    def _key_for(self, headers: Mapping[str, object], now: float) -> jwk.Key:
        kid = headers.get("kid")
        if not isinstance(kid, str) or not kid:
            raise unauthenticated("the token names no key (`kid`)")
        key = self._keys.find(kid, now)
        for keys in self._remote:
            key = key or keys.find(kid)
        if key is None:
            raise unauthenticated("the token's key is not known here")
        return key


def bearer_token(authorization: str) -> str:
    """Token of an Authorization header. Raises Refused UNAUTHENTICATED when there is none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated(
            "only bearer tokens are accepted" if authorization else "a bearer token is required"
        )
    return token.strip()


_DETAILS: tuple[tuple[type[jose.JoseError], Callable[[jose.JoseError], str]], ...] = (
    (jose.ExpiredTokenError, lambda error: "the token has expired"),
    (jose.MissingClaimError, lambda error: f"claims are missing: {getattr(error, 'claim', '')}"),
    (jose.ClaimError, lambda error: f"claim `{getattr(error, 'claim', '')}` is not accepted"),
    (jose.BadSignatureError, lambda error: "the signature is not valid"),
    (jose.UnsupportedAlgorithmError, lambda error: f"the algorithm must be one of {', '.join(ALGORITHMS)}"),
    (jose.KeyParameterError, lambda error: "the token's key does not go with its algorithm"),
    (jose.InvalidKeyCurveError, lambda error: "the token's key does not go with its algorithm"),
    (jose.JoseError, lambda error: "the token is not a JWT"),
)


def _safe_detail(error: jose.JoseError) -> str:
    return next(tell(error) for kind, tell in _DETAILS if isinstance(error, kind))


def _identity_in(claims: Mapping[str, object], *, mesh: bool) -> Identity:
    """Claims whose standard part is checked. mesh: whether the key may sign for processes of the mesh."""
    roles = claims.get("roles", [])
    if not isinstance(roles, list):
        raise unauthenticated("claim `roles` is not accepted")
    expires = claims["exp"]
    assert isinstance(expires, int | float)
    return Identity(
        subject=_name_in(claims, "sub"),
        tenant=_name_in(claims, "tenant"),
        system=_name_in(claims, "system") if claims.get("system") else "",
        roles=frozenset(role for role in roles if isinstance(role, str)) & (ROLES if mesh else OUTSIDE_ROLES),
        expires_at=float(expires),
    )


def _name_in(claims: Mapping[str, object], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value or len(value) > NAME_CHARACTERS_MAX or not value.isprintable():
        raise unauthenticated(f"claim `{claim}` is not accepted")
    return value
