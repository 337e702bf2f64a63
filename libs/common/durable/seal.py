"""Sealed copies of what went over the wire. Open this file to learn who can read them.

AES-256-GCM under a key from a mounted file; the tenant is bound in, so a copy cannot be moved to another tenant.
Without a key nothing is kept but the digests.
"""

import os
import struct
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.config import read_secret

LOG = structlog.get_logger(__name__)
NONCE_BYTES = 12
KEY_BYTES = 32


class Sealer:
    """Seals and opens exchanges; reads the key file again when it has changed.

    Raises OSError or ValueError when there is a key file that cannot be used. Later, while it is exchanged and cannot
    be read, the last key stays: what was delivered must be settled whatever becomes of the key.
    """

    def __init__(self, key_file: Path | None) -> None:
        self._key_file = key_file
        self._cipher: AESGCM | None = None
        self._read_at = -1
        if key_file is not None:
            self._read(key_file)

    def _read(self, key_file: Path) -> None:
        changed = key_file.stat().st_mtime_ns
        if changed != self._read_at:
            key = bytes.fromhex(read_secret(key_file))
            if len(key) != KEY_BYTES:
                raise ValueError("the sealing key has 64 hexadecimal digits")
            self._cipher, self._read_at = AESGCM(key), changed

    def _current(self) -> AESGCM | None:
        if self._key_file is not None:
            try:
                self._read(self._key_file)
            except (OSError, ValueError) as error:
                LOG.warning("seal_key_unusable", cause=type(error).__name__)
        return self._cipher

    def seal(self, tenant: str, request: bytes, response: bytes) -> bytes:
        """Sealed pair; empty without a key or without content."""
        cipher = self._current()
        if cipher is None or not (request or response):
            return b""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + cipher.encrypt(
            nonce, struct.pack(">I", len(request)) + request + response, tenant.encode()
        )

    def open(self, tenant: str, sealed: bytes) -> tuple[bytes, bytes]:
        """Request and response. Raises cryptography's InvalidTag under another key or tenant."""
        cipher = self._current()
        assert cipher is not None, "opening needs the sealing key"
        plain = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], tenant.encode())
        (length,) = struct.unpack(">I", plain[:4])
        return plain[4 : 4 + length], plain[4 + length :]
