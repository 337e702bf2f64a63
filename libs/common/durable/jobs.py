"""Commands that wait for a commit, and what each is told. Open this file with `unit.py`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from libs.common.context import CallContext
from libs.common.durable.idempotency import Once
from libs.common.durable.tx import Tx
from libs.common.turns import Turns

GROUP_MAX = 64
GROUPS_IN_FLIGHT = 4
OF_TENANT_MAX = 2
IN_COMPANY_MAX = 16
"""Commands of a group while there are several parties."""
BEHIND = ""
"""The party of commands that nobody waits for, a name that no tenant has: they take turns with the tenants' calls."""

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

    @property
    def rule(self) -> str:
        return self.handler.__name__


def in_turns() -> "Turns[Job[T]]":
    """Where commands wait for their commit; those that somebody has given up are left out of it."""
    return Turns(
        lambda job: not job.answered.done(),
        batches_max=GROUPS_IN_FLIGHT,
        of_party_max=OF_TENANT_MAX,
        items_max=GROUP_MAX,
        in_company_max=IN_COMPANY_MAX,
    )


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
