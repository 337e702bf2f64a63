"""Token-based authentication: OAuth 1.0a signatures with HMAC-SHA256, RFC 5849. Open it when one does not match.

Query parameters are signed, a JSON body is not, and `realm` is not part of the signed text.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_PARAMETER = re.compile(r'\s*([A-Za-z_]+)="([^"]*)"\s*(?:,|$)')
_NEEDED = frozenset(
    {
        "oauth_consumer_key",
        "oauth_token",
        "oauth_nonce",
        "oauth_timestamp",
        "oauth_signature",
        "oauth_signature_method",
    }
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The four values of a token-based integration."""

    consumer_key: str
    consumer_secret: str
    token: str
    token_secret: str


def verify(method: str, url: str, header: str, expected: Secrets | None) -> bool:
    """Whether the parameters after `OAuth ` sign this request; without secrets every complete header does."""
    sent = {name: unquote(value) for name, value in _PARAMETER.findall(header)}
    if not sent.keys() >= _NEEDED or sent["oauth_signature_method"] != "HMAC-SHA256":
        return False
    if expected is None:
        return True
    if (sent["oauth_consumer_key"], sent["oauth_token"]) != (expected.consumer_key, expected.token):
        return False
    signed = sign(method, url, sent, expected.consumer_secret, expected.token_secret)
    return hmac.compare_digest(signed, sent["oauth_signature"])


def sign(method: str, url: str, oauth: Mapping[str, str], consumer_secret: str, token_secret: str) -> str:
    """The signature, base64."""
    key = f"{_encode(consumer_secret)}&{_encode(token_secret)}".encode()
    return b64encode(
        hmac.new(key, base_string(method, url, oauth).encode(), hashlib.sha256).digest()
    ).decode()


def base_string(method: str, url: str, oauth: Mapping[str, str]) -> str:
    """The text that is signed."""
    parts = urlsplit(url)
    pairs = [
        (_encode(name), _encode(value)) for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    left_out = ("realm", "oauth_signature")
    pairs += [(_encode(name), _encode(value)) for name, value in oauth.items() if name not in left_out]
    parameters = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    address = f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
    return "&".join((method.upper(), _encode(address), _encode(parameters)))


def _encode(text: str) -> str:
    return quote(text, safe="-._~")
