"""One commit for everything a command changes. Open this file to learn how a write becomes durable.

`run_once` takes the command as a function, because only a function can be run again: several waiting commands share one
transaction (what queued while the last commit was in flight, no timer), and when the shared one fails each runs alone.

A command runs before its key is looked up (`repetitions.py`); one that was answered before cannot take its key again.
"""

import asyncio
import typing
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from itertools import count
from typing import Any, Generic, TypeVar

import structlog
from google.protobuf.message import Message

from libs.common.clock import Clock
from libs.common.context import CallContext, current_context, using
from libs.common.durable import tables
from libs.common.durable.counts import count_commands, count_transitions
from libs.common.durable.crash import crash_point
from libs.common.durable.idempotency import RETENTION, Once
from libs.common.durable.jobs import BEHIND, PLACES, Answered, Job, Settled, StoredKey
from libs.common.durable.repetitions import Repetitions
from libs.common.durable.seal import Sealer
from libs.common.durable.session import Session
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE, Store, unreachable, unstorable
from libs.common.durable.tx import Group, LinkTaken, Tx
from libs.common.durable.tx.ahead import hold_ahead, read_ahead
from libs.common.errors import NotDone, OutcomeUnknown, Refused
from libs.common.ids import NewId
from libs.common.reach import Reach
from libs.common.turns import Turn, Turns, in_stretches

LOG = structlog.get_logger(__name__)
STRETCH = 2
"""Commands of a group that are run before anything else gets a turn, while several parties are about: half a
millisecond."""
WAITING_MAX = 4096
RUNS_MAX = 6
RUNS_AT_ONCE = 3
RUNS_APART = timedelta(milliseconds=20)
"""Before the fourth run, and twice as long before each one after it: who is in the way for long gets time."""
AWAY_MAX = 2
"""Commands in a row that find the database away, after which the rest of their group does not try."""

T = TypeVar("T", bound=Tx)
M = TypeVar("M", bound=Message)
R = TypeVar("R")
Handler = Callable[[Any, T], Awaitable[R]]


@lru_cache(maxsize=1024)
def _answer_type(render: Callable[[Any], M]) -> type[M]:
    answer: type[M] = typing.get_type_hints(render)["return"]
    return answer


class Unit(Generic[T]):
    """The unit of work of one service; `open_tx` makes the service's own view of a transaction."""

    def __init__(
        self,
        store: Store,
        open_tx: Callable[[Group, CallContext, str], T],
        *,
        clock: Clock,
        new_id: NewId,
        wake: Callable[[set[str]], None] = lambda targets: None,
        note_replay: Callable[[], None] = lambda: None,
        sealer: Sealer | None = None,
    ) -> None:
        self.store = store
        self.sealer = sealer or Sealer(None)
        self.clock = clock
        self.new_id = new_id
        self._open_tx = open_tx
        self._wake = wake
        self._note_replay = note_replay
        self._waiting: Turns[Job[T]] = Turns(PLACES, self._start_group, lambda job: job.is_wanted)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._repetitions = Repetitions()

    async def run_once(
        self,
        handler: Callable[[Any, T], Awaitable[R]],
        command: object,
        render: Callable[[R], M],
        once: Once,
        *,
        behind: bool = False,
        about: Collection[str] = (),
    ) -> M:
        """Runs the command under its key and answers as rendered; a repetition gets the stored answer.

        behind: nobody waits for it; it takes turns with the tenants' calls as one more party.
        about: subjects of records and parked deliveries that the command is sure to ask for (`tx/ahead.py`).
        Raises Refused (the command's own, IDEMPOTENCY_KEY_REUSED), NotDone (overload, database away) or OutcomeUnknown
        (the database went away during the commit: repeat with the same key).
        """
        answered = await self.enlist(
            handler, command, lambda told: render(told).SerializeToString(), once, behind=behind, about=about
        )
        if answered.replayed:
            self._note_replay()
        answer: M = _answer_type(render).FromString(answered.answer)
        return answer

    def enlist(
        self,
        handler: Callable[[Any, T], Awaitable[R]],
        command: object,
        render: Callable[[R], bytes],
        once: Once,
        *,
        behind: bool = False,
        about: Collection[str] = (),
    ) -> "asyncio.Future[Answered]":
        """Like `run_once`, for many at a time: begins at once, answers in bytes. Cancelling withdraws what waits."""
        if len(self._waiting) >= WAITING_MAX:
            raise NotDone("OVERLOADED", "too many commands wait")
        loop = asyncio.get_running_loop()
        job: Job[T] = Job(handler, command, render, once, current_context(), loop.create_future(), about)
        self._waiting.add(BEHIND if behind else job.context.tenant, job)
        return job.answered

    def _start_group(self, turn: Turn[Job[T]]) -> None:
        task = asyncio.create_task(self._run_and_tell(turn.items))
        self._in_flight.add(task)
        task.add_done_callback(partial(self._group_ended, turn))

    def _group_ended(self, turn: Turn[Job[T]], task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._waiting.ended(turn)

    async def _run_and_tell(self, jobs: Sequence[Job[T]]) -> None:
        """Nobody is left without an answer, whatever ends the group."""
        try:
            await self._run_jobs(jobs)
        finally:
            stopped = OutcomeUnknown("OUTCOME_UNKNOWN", "the process stopped on the way")
            Settled(errors=[(job, stopped) for job in jobs]).tell()

    async def _run_jobs(self, jobs: Sequence[Job[T]]) -> None:
        """Together first; one by one when the shared transaction fails, or to find out what became of it."""
        try:
            settled = await self._commit_jobs(jobs)
        except Exception as error:  # noqa: BLE001  (whatever it is, each caller gets it)
            if len(jobs) == 1 and not isinstance(error, OutcomeUnknown):
                Settled(errors=[(jobs[0], error)]).tell()
            else:
                await self._run_one_by_one(jobs, error)
            return
        settled.tell()
        count_commands(settled)
        if settled.again:
            await self._run_jobs(settled.again)

    async def _run_one_by_one(self, jobs: Sequence[Job[T]], shared: Exception) -> None:
        """What the shared commit left open stays open: a command that may have been committed in it is in doubt."""
        away, error = 0, None
        for job in jobs:
            if away < AWAY_MAX:
                error = await self._run_alone(job)
                away = away + 1 if error is not None and is_away(error) else 0
            if error is not None:
                doubt = isinstance(shared, OutcomeUnknown) and isinstance(error, NotDone)
                Settled(errors=[(job, shared if doubt else error)]).tell()

    async def _run_alone(self, job: Job[T]) -> Exception | None:
        """Runs one command of a group that failed and tells its answer; what the commit failed with."""
        try:
            settled = await self._commit_jobs([job], look_first=True)
        except Exception as error:  # noqa: BLE001  (as above)
            return error
        settled.tell()
        count_commands(settled)
        return None

    async def _commit_jobs(self, jobs: Sequence[Job[T]], *, look_first: bool = False) -> Settled:
        """Raises what `commit` does."""
        look_first |= self._repetitions.are_likely()
        runs = count()
        return await self.commit(lambda group: self._run_group(group, jobs, look_first or next(runs) > 0))

    async def _run_group(self, group: Group, jobs: Sequence[Job[T]], look_first: bool) -> Settled:
        settled = Settled()
        stored = await self._repetitions.stored(group.driver, jobs) if look_first else {}
        group.driver.has_keys = True
        await self._read_ahead(group, jobs)
        started: set[StoredKey] = set()
        async for job in in_stretches(jobs, STRETCH if self._waiting.in_company else len(jobs)):
            key = job.key
            if job.once.preview:
                await self._run_job(group, job, settled)
            elif key in stored:
                self._repetitions.settle(settled, job, stored[key])
            elif key in started:
                settled.again.append(job)
            else:
                started.add(key)
                await self._run_job(group, job, settled)
        if settled.errors and not look_first:
            await self._repetitions.find(group.driver, settled)
        return settled

    async def _read_ahead(self, group: Group, jobs: Sequence[Job[T]]) -> None:
        wanted = {(job.context.tenant, subject) for job in jobs for subject in job.about}
        if wanted and len(jobs) + len(wanted) > 2:  # one command about one thing asks for it itself
            await hold_ahead(group, wanted)
            await read_ahead(self.open(group, jobs[0].context, jobs[0].rule), wanted)

    async def _run_job(self, group: Group, job: Job[T], settled: Settled) -> None:
        tx = self._open_tx(group, job.context, job.rule)
        try:
            with using(job.context):
                answer = job.render(await job.handler(job.command, tx))
        except AGAIN + UNREACHABLE + UNSTORABLE:
            raise
        except Exception as error:  # noqa: BLE001  (one command's fault is not the group's)
            settled.errors.append((job, error))
            return
        settled.answers.append((job, Answered(answer, replayed=False)))
        if job.once.preview:
            return
        group.accept(tx)
        group.add(
            tables.IDEMPOTENCY,
            {
                "tenant": job.context.tenant,
                "method": job.rule,
                "key": job.once.key,
                "fingerprint": job.once.fingerprint,
                "answer": answer,
                "expiry_time": group.now + RETENTION,
            },
        )

    def open(self, group: Group, context: CallContext, rule: str) -> T:
        """A transaction view for work that is not a caller's command: settling, taking in."""
        return self._open_tx(group, context, rule)

    async def commit(self, work: Callable[[Group], Awaitable[R]]) -> R:
        """Runs `work` and commits what it wants written; runs it again when another transaction was in the way.

        `work` must have no effect outside the group. Raises NotDone CONFLICT when it keeps losing, NotDone
        STORE_UNAVAILABLE when nothing was committed, OutcomeUnknown when the database went away during the commit,
        Refused DUPLICATE_CANDIDATE or INVALID_FIELD for what will never be stored.
        """
        links_taken = 0
        for run in range(RUNS_MAX):
            if run >= RUNS_AT_ONCE:
                await self.clock.wait(asyncio.Event(), RUNS_APART * 2 ** (run - RUNS_AT_ONCE))
            try:
                return await self._commit_once(work)
            except AGAIN as error:
                links_taken += isinstance(error, LinkTaken)
                if links_taken > 1:
                    raise Refused("DUPLICATE_CANDIDATE", str(error)) from error
                LOG.info("commit_again", run=run, cause=type(error).__name__)
                await asyncio.sleep(0)
        raise NotDone("CONFLICT", "other changes kept coming in between")

    async def _commit_once(self, work: Callable[[Group], Awaitable[R]]) -> R:
        session: Session | None = None
        try:
            async with self.store.session() as session:
                group = Group(session, self.clock.now(), self.new_id, self.sealer)
                result = await work(group)
                await group.flush()
                await session.commit()
        except AGAIN:
            raise
        except UNSTORABLE as error:
            raise unstorable() from error
        except UNREACHABLE as error:
            raise unreachable(error, session.reach if session else Reach.NOT_SENT) from error
        crash_point("after_commit")
        count_transitions(group)
        if group.targets:
            self._wake(group.targets)
        return result

    async def close(self) -> None:
        """Waits for commits under way."""
        self._waiting.go_on()
        while self._in_flight:
            await asyncio.wait(self._in_flight)


def is_away(error: Exception) -> bool:
    """True for what `commit` raises when the database was not there, at all or during the commit."""
    return isinstance(error, OutcomeUnknown) or (
        isinstance(error, NotDone) and error.reason == "STORE_UNAVAILABLE"
    )
