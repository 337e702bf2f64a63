"""The certificate of this process, and whom it trusts. Open this file to learn when mounted files are read again.

Three PEM files go together: the process's certificate (with its chain), its private key, and the authorities whose
certificates it takes. They may change at any time; a set that does not fit together leaves the last one in use, because
a mount is not swapped in one step everywhere.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

from libs.common.clock import Clock, SystemClock

LOG = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
"""Least time between two looks at the files."""

Stamp = tuple[tuple[int, int, int], ...]


class CertificatesUnusable(ValueError):
    """The files cannot be used; the message says which and why. Raised at start only."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where they are mounted."""

    certificate: Path
    key: Path
    authorities: Path


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """What stood in the files, checked."""

    generation: int
    """Goes up whenever the files were read anew."""
    certificate: bytes
    key: bytes
    authorities: bytes


class Certificates:
    """The files, looked at when asked. Raises CertificatesUnusable when made."""

    def __init__(self, files: CertificateFiles, clock: Clock | None = None) -> None:
        self.files = files
        self._clock = clock or SystemClock()
        self._looked_at = self._clock.now().timestamp()
        try:
            self._stamp = self._stamp_now()
            self._material = self._read(1)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CertificatesUnusable(f"the certificate files cannot be used: {error}") from error

    def current(self) -> Material:
        """The newest that fits together. Cheap: it looks at the files at most once in LOOK_SECONDS."""
        now = self._clock.now().timestamp()
        if 0 <= now - self._looked_at < LOOK_SECONDS:
            return self._material
        self._looked_at = now
        try:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._material = self._read(self._material.generation + 1)
                self._stamp = stamp
                LOG.info("certificate renewed", path=self.files.certificate)
        except (OSError, ValueError) as error:
            LOG.warning("new certificate files cannot be used", path=self.files.certificate, error=error)
        return self._material

    def _stamp_now(self) -> Stamp:
        states = [path.stat() for path in (self.files.certificate, self.files.key, self.files.authorities)]
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)

    def _read(self, generation: int) -> Material:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.files.certificate, self.files.key)
        context.load_verify_locations(self.files.authorities)
        return Material(
            generation,
            self.files.certificate.read_bytes(),
            self.files.key.read_bytes(),
            self.files.authorities.read_bytes(),
        )
