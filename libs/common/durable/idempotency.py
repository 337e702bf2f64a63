"""Idempotency keys. Open this file to learn when two requests are the same.

Scope: tenant and command. Same key and same canonical request: the stored answer, byte for byte. Another request: 422.
A request that was refused before acceptance binds no key.
"""

import hashlib
from datetime import timedelta

from google.protobuf.message import Message

from libs.common.value import value

RETENTION = timedelta(days=30)
KEY_FIELD = "idempotency_key"
PREVIEW_FIELD = "validate_only"


@value()
class Once:
    """What makes a command happen once."""

    key: str
    fingerprint: bytes
    """SHA-256 of the canonical request without its key."""
    preview: bool = False
    """True when nothing is to be kept: the answer, or the refusal, is what a true request would get now."""


def once(request: Message) -> Once:
    """Key and fingerprint of a request that has the field `idempotency_key`."""
    key: str = getattr(request, KEY_FIELD)
    request.ClearField(KEY_FIELD)
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    setattr(request, KEY_FIELD, key)
    preview = PREVIEW_FIELD in request.DESCRIPTOR.fields_by_name and bool(getattr(request, PREVIEW_FIELD))
    return Once(key, digest, preview)
