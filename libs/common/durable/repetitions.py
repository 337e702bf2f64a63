"""Commands that were answered before. Open this file to see when keys are looked up, and what a repetition is told.

Repetitions are rare, so a command runs first, and its key is looked up only where there is reason to: it was refused,
its key was taken when it came to be written, the commit is in doubt, or there were repetitions a moment ago.
"""

from collections.abc import Iterable
from typing import Any

import asyncpg

from libs.common.durable.jobs import Answered, Job, Settled, StoredKey
from libs.common.durable.probes import lookup_statement
from libs.common.durable.session import Session
from libs.common.durable.tx import Lost
from libs.common.errors import Refused

LOOKING_FIRST = 64
"""Groups after a repetition whose keys are looked up first: whoever repeats one order often repeats many, and a group
with one of them in it would run twice."""
STORED_ANSWER = "tenant, method, key, fingerprint, answer"

StoredAnswer = tuple[bytes, bytes]
"""Fingerprint of the request, and the answer."""


class Repetitions:
    """What one service knows of them."""

    def __init__(self) -> None:
        self._looking_first = 0

    def are_likely(self) -> bool:
        """Asked once for each group."""
        self._looking_first = max(0, self._looking_first - 1)
        return self._looking_first > 0

    async def stored(self, session: Session, jobs: Iterable[Job[Any]]) -> dict[StoredKey, StoredAnswer]:
        """The answers that were given under the jobs' keys."""
        keys = [job.key for job in jobs]
        rows = await session.look(
            lookup_statement("idempotency", STORED_ANSWER, ("tenant", "method", "key")),
            *([key[place] for key in keys] for place in range(3)),
        )
        return {(r["tenant"], r["method"], r["key"]): (r["fingerprint"], r["answer"]) for r in rows}

    def settle(self, settled: Settled, job: Job[Any], stored: StoredAnswer) -> None:
        """The stored answer; another request under the same key is refused."""
        self._looking_first = LOOKING_FIRST
        fingerprint, answer = stored
        if fingerprint == job.once.fingerprint:
            settled.answers.append((job, Answered(answer, replayed=True)))
        else:
            settled.errors.append((job, Refused("IDEMPOTENCY_KEY_REUSED")))

    async def find(self, session: Session, settled: Settled) -> None:
        """Among what was refused: a repetition may be, for what its first run has changed. Raises Lost where the group
        has to run again for it."""
        refused, settled.errors = settled.errors, []
        if any(isinstance(error, asyncpg.PostgresError) for _, error in refused):
            raise Lost("the transaction takes no further question")
        stored = await self.stored(session, [job for job, _ in refused])
        for job, error in refused:
            if job.key in stored and not job.once.preview:
                self.settle(settled, job, stored[job.key])
            else:
                settled.errors.append((job, error))
