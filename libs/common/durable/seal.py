"""Originals that hold what people must not see by chance, kept encrypted. Open this file to learn who can read them.

Sealed are what went over the wire in each try, and changes from outside that were set aside, with what operators made
of them. AES-256-GCM under a key of the tenant, from a mounted file:

    {"acme": {"2026-06": "<64 hexadecimal digits>", "2026-12": "<64 hexadecimal digits>"}}

The last key of a tenant seals; each opens what it has sealed, by its id. Taking a key out of the file makes what it
sealed unreadable for ever, in backups too; taking a tenant out, all of the tenant's. Tenant and key id are bound in, so
that a copy cannot be moved. Without a key of the tenant, of the wire nothing is kept but digests, and changes are kept
as they are.
"""

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.config import read_secret
from libs.common.errors import Refused

LOG = structlog.get_logger(__name__)
NONCE_BYTES = 12
KEY_BYTES = 32
KEY_ID_BYTES_MAX = 64
MARK = b"\x00\x01"
"""What sealed bytes begin with: no message does, because no field has the number 0."""

Keys = Mapping[str, Mapping[str, AESGCM]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """The parts of sealed bytes."""

    key_id: str
    nonce: bytes
    content: bytes

    @classmethod
    def parse(cls, sealed: bytes) -> "Sealed":
        """Raises ValueError for anything else."""
        start = len(MARK) + 1
        if not is_sealed(sealed) or len(sealed) < start:
            raise ValueError("these bytes are not sealed")
        key_end = start + sealed[len(MARK)]
        nonce_end = key_end + NONCE_BYTES
        return cls(sealed[start:key_end].decode(), sealed[key_end:nonce_end], sealed[nonce_end:])


class Sealer:
    """Seals and opens; reads the key file again when it has changed.

    Raises OSError or ValueError when there is a key file that cannot be used. Later, while it is exchanged and cannot
    be read, the last keys stay: what was delivered must be settled whatever becomes of the file.
    """

    def __init__(self, keys_file: Path | None) -> None:
        self._keys_file = keys_file
        self._keys: Keys = {}
        self._read_at = -1
        if keys_file is not None:
            self._read(keys_file)

    def _read(self, keys_file: Path) -> None:
        changed = keys_file.stat().st_mtime_ns
        if changed != self._read_at:
            self._keys, self._read_at = parse_keys(read_secret(keys_file)), changed

    def _of(self, tenant: str) -> Mapping[str, AESGCM]:
        if self._keys_file is not None:
            try:
                self._read(self._keys_file)
            except (OSError, ValueError) as error:
                LOG.warning("seal_keys_unusable", cause=type(error).__name__)
        return self._keys.get(tenant, {})

    def seal(self, tenant: str, content: bytes) -> bytes | None:
        """Sealed under the tenant's newest key; None without one."""
        keys = self._of(tenant)
        if not keys:
            return None
        key_id = list(keys)[-1]
        nonce = os.urandom(NONCE_BYTES)
        return _head(key_id) + nonce + keys[key_id].encrypt(nonce, content, _bound(tenant, key_id))

    def seal_exchange(self, tenant: str, request: bytes, response: bytes) -> bytes:
        """What went over the wire; empty without a key or without content."""
        if not (request or response):
            return b""
        return self.seal(tenant, struct.pack(">I", len(request)) + request + response) or b""

    def open(self, tenant: str, content: bytes) -> bytes:
        """What was sealed; bytes that are not sealed come back as they are.

        Refused with ORIGINAL_UNREADABLE when the key is gone, or the bytes are another tenant's or were changed.
        """
        if not is_sealed(content):
            return content
        try:
            sealed = Sealed.parse(content)
            key = self._of(tenant)[sealed.key_id]
            return key.decrypt(sealed.nonce, sealed.content, _bound(tenant, sealed.key_id))
        except KeyError as error:
            said = "the key it was sealed under is gone"
            raise Refused("ORIGINAL_UNREADABLE", said) from error
        except (ValueError, InvalidTag) as error:
            raise Refused("ORIGINAL_UNREADABLE", "it was changed, or sealed for somebody else") from error

    def open_exchange(self, tenant: str, sealed: bytes) -> tuple[bytes, bytes]:
        """Request and answer. Refused with ORIGINAL_UNREADABLE, also for a copy of an earlier form."""
        if not is_sealed(sealed):
            raise Refused("ORIGINAL_UNREADABLE", "it was sealed by an earlier version, under a common key")
        plain = self.open(tenant, sealed)
        (length,) = struct.unpack(">I", plain[:4])
        return plain[4 : 4 + length], plain[4 + length :]


def is_sealed(content: bytes) -> bool:
    return content.startswith(MARK)


def parse_keys(text: str) -> Keys:
    """Keys by tenant and id, in order. Raises ValueError, which quotes nothing of the text."""
    try:
        told = json.loads(text)
    except ValueError:
        raise ValueError("the file of sealing keys is not JSON") from None
    if not isinstance(told, dict) or not all(isinstance(keys, dict) for keys in told.values()):
        raise ValueError("the file of sealing keys has keys by tenant and id")
    return {
        tenant: {key_id: _key(key_id, digits) for key_id, digits in keys.items()}
        for tenant, keys in told.items()
    }


def _key(key_id: str, digits: object) -> AESGCM:
    if not 0 < len(key_id.encode()) <= KEY_ID_BYTES_MAX:
        raise ValueError(f"the id of a sealing key has 1 to {KEY_ID_BYTES_MAX} bytes")
    try:
        key = bytes.fromhex(digits) if isinstance(digits, str) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a sealing key has 64 hexadecimal digits")
    return AESGCM(key)


def _head(key_id: str) -> bytes:
    name = key_id.encode()
    return MARK + bytes([len(name)]) + name


def _bound(tenant: str, key_id: str) -> bytes:
    return json.dumps([tenant, key_id]).encode()
