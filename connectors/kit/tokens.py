"""Access tokens: fetched once, however many calls wait for one. Open this file when a vendor counts too many logins."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from libs.common.clock import Clock


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and until when to use it; vendors that state no lifetime get a long one."""

    value: str
    use_until: datetime


class TokenCache:
    """The token in use.

    Who needs one while it is being fetched waits for that very fetch and shares its failure too: twenty calls with a
    wrong secret are one bad login, not twenty, for a series of them locks the user. Who leaves stops it for nobody.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._fetching: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """Raises what the fetch raised."""
        if self._token is not None and self._clock.now() < self._token.use_until:
            return self._token
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def drop(self, token: Token) -> None:
        """The vendor refused it; a newer one that came meanwhile stays."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        """Breaks a fetch off."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _renew(self) -> Token:
        self._token = token = await self._fetch()
        return token

    def _fetched(self, task: "asyncio.Task[Token]") -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # all who waited may have left
