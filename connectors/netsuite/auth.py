"""OAuth 2.0 client credentials: a signed assertion for an access token. Open it when NetSuite answers 401.

NetSuite gives no refresh token; a new assertion is signed each time. The kit fetches once for all calls that wait.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from connectors.kit.exact_json import loads_object
from connectors.kit.http import Call, VendorHttp
from connectors.kit.tokens import Token
from connectors.netsuite.errors import error_of_token
from libs.common.clock import Clock
from libs.common.config import read_secret
from libs.common.errors import NotDone

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105  a path
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPES = ["rest_webservices"]
ASSERTION_LIFE = timedelta(minutes=5)
RENEW_BEFORE = timedelta(seconds=60)
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

SigningKey = ECKey | RSAKey
LoadKey = Callable[[], SigningKey]
"""Asked for each token, because mounted keys are rotated."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """One integration's right to log in."""

    base_url: str
    client_id: str
    certificate_id: str
    load_key: LoadKey
    clock: Clock

    async def fetch(self, http: VendorHttp) -> Token:
        """A fresh access token. Raises NotDone: nothing was written yet, whatever went wrong."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        call = Call(
            "POST",
            TOKEN_PATH,
            effect=False,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        answer = await http.send_plain(call)
        if answer.status != 200:
            raise error_of_token(answer)
        try:
            body = loads_object(answer.content)
            value, seconds = str(body["access_token"]), int(str(body["expires_in"]))
        except (KeyError, ValueError) as error:
            raise NotDone("SYSTEM_UNAVAILABLE", "the token endpoint gave no token") from error
        life = max(timedelta(seconds=seconds) - RENEW_BEFORE, timedelta(seconds=seconds) / 2)
        return Token(value, self.clock.now() + life)

    def assertion(self) -> str:
        """The signed statement of who we are, for five minutes. NotDone SYSTEM_CREDENTIALS without a usable key."""
        now = self.clock.now()
        claims = {
            "iss": self.client_id,
            "scope": SCOPES,
            "aud": self.base_url.rstrip("/") + TOKEN_PATH,
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFE).timestamp()),
        }
        try:
            key = self.load_key()
            algorithm = _algorithm(key)
            header = {"typ": "JWT", "alg": algorithm, "kid": self.certificate_id}
            return jwt.encode(header, claims, key, algorithms=[algorithm])
        except (JoseError, OSError, ValueError, KeyError) as error:
            raise NotDone(
                "SYSTEM_CREDENTIALS", f"the private key cannot be used ({type(error).__name__})"
            ) from error


def key_from_file(path: Path) -> LoadKey:
    """Reads PEM or JWK, EC or RSA, each time it is asked."""

    def load() -> SigningKey:
        text = read_secret(path)
        if text.startswith("{"):
            given = json.loads(text)
            return RSAKey.import_key(given) if given.get("kty") == "RSA" else ECKey.import_key(given)
        held = load_pem_private_key(text.encode(), password=None)
        return RSAKey.import_key(text) if isinstance(held, RSAPrivateKey) else ECKey.import_key(text)

    return load


def throw_away_key() -> LoadKey:
    """A key nobody knows: good for a simulator that takes any well-formed assertion."""
    key = ECKey.generate_key("P-256")
    return lambda: key


def _algorithm(key: SigningKey) -> str:
    """RSA keys sign with PSS: NetSuite no longer takes RS256."""
    return "PS256" if isinstance(key, RSAKey) else _EC_ALGORITHMS[str(key.as_dict(private=False)["crv"])]
