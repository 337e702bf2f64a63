"""Headers that decide whether a request is carried out: key, version, form. Open this file to learn how each is read.

`Idempotency-Key` and `If-Match` become fields of the request (`gateway/rules.py`, HEADER_FIELDS); `If-None-Match` and
`Accept` are settled here.
"""

import re

from gateway.exchange import AtTheEdge, Exchange
from libs.common.errors import Refused, Violation

KEY_CHARACTERS_MAX = 255
ETAG_CHARACTERS_MAX = 64
"""Quotes included, as the contracts count them."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ETAG = re.compile(r'\s*(W/)?"([^"]*)"\s*')
_PLAIN_ETAG = re.compile(r"[^\s\",]+")
_JSON_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)
_ACCEPTED = ("application/json", "application/problem+json", "application/*", "*/*")


def idempotency_key(exchange: Exchange) -> str:
    """The caller's key, empty where there is none. Takes the draft's quoted string and a plain one."""
    stated = exchange.header(b"idempotency-key").strip()
    quoted = _QUOTED.fullmatch(stated)
    key = quoted[1] if quoted else stated
    if quoted and "\\" in key:
        key = re.sub(r"\\(.)", r"\1", key)
    if not (key.isascii() and key.isprintable()) or (stated.startswith('"') and not quoted):
        raise _header_refused(
            "idempotency_key", "the key must be printable ASCII, plain or one quoted string"
        )
    if len(key) > KEY_CHARACTERS_MAX:
        raise _header_refused("idempotency_key", f"the key has more than {KEY_CHARACTERS_MAX} characters")
    return key


def required_key(exchange: Exchange) -> str:
    """The caller's key; refused IDEMPOTENCY_KEY_MISSING without one."""
    key = idempotency_key(exchange)
    if not key:
        raise Refused.field(
            "IDEMPOTENCY_KEY_MISSING", "idempotency_key", "send a key of 1 to 255 characters with every write"
        )
    return key


def expected_etag(exchange: Exchange) -> str:
    """Version that If-Match names, quotes included, as records carry it (AIP-154); quotes are added where the caller
    left them out. Empty where the header is absent or `*`, which skips the check."""
    stated = exchange.header(b"if-match").strip()
    if stated in ("", "*"):
        return ""
    match = _ETAG.fullmatch(stated)
    if match is None and not _PLAIN_ETAG.fullmatch(stated):
        raise _header_refused("etag", "If-Match takes one version, as it came in the header ETag")
    if match is not None and match[1]:
        raise Refused.field("ETAG_MISMATCH", "etag", "a weak version never matches")
    etag = f'"{match[2] if match else stated}"'
    if not 2 < len(etag) <= ETAG_CHARACTERS_MAX or not (etag.isascii() and etag.isprintable()):
        raise Refused.field("ETAG_MISMATCH", "etag", "no record has such a version")
    return etag


def required_etag(exchange: Exchange) -> str:
    """Like `expected_etag`; refused ETAG_MISSING where the header is absent. `*` says that any version will do."""
    if not exchange.header(b"if-match").strip():
        raise Refused.field("ETAG_MISSING", "etag", "send the version you have read, or * for any")
    return expected_etag(exchange)


def is_known(exchange: Exchange, etag: str) -> bool:
    """True when If-None-Match names this version: the caller has it already."""
    stated = exchange.header(b"if-none-match").strip()
    if not stated or not etag:
        return False
    return stated == "*" or any(match[2] == etag.strip('"') for match in _ETAG.finditer(stated))


def etag_header(etag: str) -> tuple[tuple[bytes, bytes], ...]:
    """etag: as the record carries it; quotes are added where they are missing, HTTP wants them."""
    quoted = etag if etag.startswith(('"', "W/")) else f'"{etag}"'
    return ((b"etag", quoted.encode()),) if etag else ()


def check_json_body(exchange: Exchange) -> None:
    """Refuses bodies that do not say they are JSON in UTF-8."""
    stated = exchange.header(b"content-type")
    if stated != "application/json" and not _JSON_TYPE.fullmatch(stated.strip()):
        detail = (
            f"send application/json, not {stated[:100]}" if stated else "the header Content-Type is missing"
        )
        raise AtTheEdge(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers={"Accept": "application/json"})
    encoding = exchange.header(b"content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise AtTheEdge(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "compressed bodies are not taken",
            headers={"Accept-Encoding": "identity"},
        )


def check_accept(exchange: Exchange) -> None:
    """Refuses callers that take no JSON; the refusal is JSON all the same."""
    stated = exchange.header(b"accept")
    if not stated or stated in ("*/*", "application/json"):
        return
    for entry in stated.lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        if media_type in _ACCEPTED and not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", p) for p in parameters):
            return
    raise AtTheEdge(406, "UNSUPPORTED_MEDIA_TYPE", "answers are application/json or application/problem+json")


def _header_refused(field: str, description: str) -> Refused:
    return Refused("INVALID_FIELD", description, violations=[Violation(field, description)])
