"""Commands that wait for a commit, and what each is told. Open this file with `unit.py`."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from libs.common.context import CallContext
from libs.common.durable.idempotency import Once
from libs.common.durable.tx import Tx
from libs.common.turns import Places

PLACES = Places(batches_max=6, of_party_max=3, items_max=64, in_company_max=16, further_min=16)
"""Of commits under way."""
BEHIND = ""
"""The party of commands that nobody waits for, a name that no tenant has: they take turns with the tenants' calls."""

StoredKey = tuple[str, str, str]
"""Tenant, command, idempotency key."""

T = TypeVar("T", bound=Tx)


@dataclass(slots=True)
class Job(Generic[T]):
    """One command that waits for its commit."""

    handler: Callable[[Any, T], Awaitable[object]]
    command: object
    render: Callable[[Any], bytes]
    once: Once
    context: CallContext
    answered: "asyncio.Future[Answered]"
    about: Collection[str] = ()
    """Subjects of records and parked deliveries that it is sure to ask for."""

    @property
    def rule(self) -> str:
        return self.handler.__name__

    @property
    def key(self) -> StoredKey:
        return self.context.tenant, self.rule, self.once.key

    @property
    def is_wanted(self) -> bool:
        """False once whoever waited has given up."""
        return not self.answered.done()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer's bytes, and whether they were stored by an earlier request."""

    answer: bytes
    replayed: bool


@dataclass(slots=True)
class Settled:
    """What to tell each job once the commit is through."""

    answers: list[tuple[Job[Any], Answered]] = field(default_factory=list)
    errors: list[tuple[Job[Any], BaseException]] = field(default_factory=list)
    again: list[Job[Any]] = field(default_factory=list)

    def tell(self) -> None:
        for job, answered in self.answers:
            if not job.answered.done():
                job.answered.set_result(answered)
        for job, error in self.errors:
            if not job.answered.done():
                job.answered.set_exception(error)
