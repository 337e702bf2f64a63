"""Mutual TLS between processes. Open this file when a process is not let in, or a renewed certificate is not used.

Both sides show a certificate. A server asks for its newest files at each handshake; a client opens another connection
when its own have changed, and lets running calls end on the old one. Who may call is told by the names in the caller's
certificate; what it may do is told by its token, as without TLS.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, cast

import grpc

from libs.common.certificates import Certificates, Material
from libs.common.config import ProcessSettings
from libs.common.errors import Refused
from libs.common.rpc.call import Call

OLD_CHANNEL_SECONDS = 60.0
"""Time for calls that run on a connection with the old certificate."""
SAN = "x509_subject_alternative_name"

Open = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


def certificates_of(settings: ProcessSettings) -> Certificates | None:
    """None where no certificate is mounted. Raises CertificatesUnusable."""
    files = settings.certificate_files
    return Certificates(files) if files is not None else None


def server_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Wants a certificate of the caller's; its own is the newest at each handshake."""
    given = certificates.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        newest = certificates.current()
        if newest.generation == given.generation:
            return None
        given = newest
        return _configuration(newest)

    # The stubs do not know that gRPC takes None for "the same as before".
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", renewed)
    return grpc.dynamic_ssl_server_credentials(_configuration(given), fetch, True)


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)], material.authorities
    )


class KnownPeers:
    """A step of the door: the names in the caller's certificate must be among those that may call."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(name.encode() for name in names)

    def __call__(self, call: Call) -> None:
        """Refused PERMISSION_DENIED."""
        shown = call.servicer_context.auth_context().get(SAN, ())
        if self._names.isdisjoint(shown):
            raise Refused("PERMISSION_DENIED", "the caller's certificate names no process that may call")


class RenewedChannel(grpc.aio.Channel):
    """A channel that is opened again when the certificate has changed."""

    def __init__(self, certificates: Certificates, open_one: Open) -> None:
        self._certificates = certificates
        self._open = open_one
        self._closing: set[asyncio.Task[None]] = set()
        self._material = certificates.current()
        self._channel = open_one(_channel_credentials(self._material))

    def newest(self) -> grpc.aio.Channel:
        """The connection with the newest certificate."""
        material = self._certificates.current()
        if material.generation != self._material.generation:
            closing = asyncio.ensure_future(self._channel.close(OLD_CHANNEL_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._material = material
            self._channel = self._open(_channel_credentials(material))
        return self._channel

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, lambda channel: channel.unary_unary(*arguments, **named))

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, lambda channel: channel.unary_stream(*arguments, **named))

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, lambda channel: channel.stream_unary(*arguments, **named))

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, lambda channel: channel.stream_stream(*arguments, **named))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.newest().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        for closing in self._closing:
            closing.cancel()
        await self._channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class _Method:
    """One method of whichever connection is the newest."""

    def __init__(self, owner: RenewedChannel, make: Callable[[grpc.aio.Channel], Any]) -> None:
        self._owner = owner
        self._make = make
        self._channel = owner.newest()
        self._call = make(self._channel)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        channel = self._owner.newest()
        if channel is not self._channel:
            self._channel, self._call = channel, self._make(channel)
        return self._call(*arguments, **named)


def _channel_credentials(material: Material) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(material.authorities, material.key, material.certificate)
