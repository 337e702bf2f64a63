"""Reads that wait at the same time, asked for together. Open this file when many small reads cost too much.

What is asked in one pass of the event loop, or while earlier reads are under way, travels together; there is no timer,
so a single read waits for nobody. An answer is never older than its question.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

from libs.common.errors import Refused

K = TypeVar("K")
V = TypeVar("V")
KEYS_MAX = 1024
IN_FLIGHT = 2


@dataclass(slots=True)
class _Question(Generic[K, V]):
    keys: Collection[K]
    answer: "asyncio.Future[Mapping[K, V]]"


class Together(Generic[K, V]):
    """Answers questions for values by key; `ask` gets each key once and answers with those that exist.

    keys_max: keys that are asked for together, if not one question alone has more.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, keys_max: int = KEYS_MAX
    ) -> None:
        self._ask = ask
        self._keys_max = keys_max
        self._waiting: deque[_Question[K, V]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._start_asked = False
        # Where what is asked for several runs: the deadline of whoever came first is not the others', nor that of those
        # who come while it is under way.
        self._nobodys = copy_context()

    async def get(self, keys: Collection[K]) -> Mapping[K, V]:
        """Values of these keys, and perhaps of others. Raises what `ask` raises."""
        loop = asyncio.get_running_loop()
        question: _Question[K, V] = _Question(keys, loop.create_future())
        self._waiting.append(question)
        if not self._start_asked:
            self._start_asked = True
            loop.call_soon(self._start)
        return await question.answer

    def _start(self) -> None:
        self._start_asked = False
        while self._waiting and len(self._in_flight) < IN_FLIGHT:
            task = asyncio.create_task(self._answer(self._next()), context=self._nobodys.copy())
            self._in_flight.add(task)
            task.add_done_callback(self._answered)

    def _next(self) -> list[_Question[K, V]]:
        questions = [self._waiting.popleft()]
        count = len(questions[0].keys)
        while self._waiting and (count := count + len(self._waiting[0].keys)) <= self._keys_max:
            questions.append(self._waiting.popleft())
        return [question for question in questions if not question.answer.done()]

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._start()

    async def _answer(self, questions: Sequence[_Question[K, V]]) -> None:
        """Nobody is left without an answer; what is refused for the sake of one key is asked again, each alone."""
        if not questions:
            return
        try:
            found = await self._ask(list(dict.fromkeys(key for each in questions for key in each.keys)))
        except Refused as error:
            if len(questions) == 1:
                _fail(questions, error)
            for question in questions if len(questions) > 1 else ():
                await self._answer([question])
        except Exception as error:  # noqa: BLE001  (whatever it is, each asker gets it)
            _fail(questions, error)
        except BaseException:
            for question in questions:
                question.answer.cancel()
            raise
        else:
            for question in questions:
                if not question.answer.done():
                    question.answer.set_result(found)


def _fail(questions: Sequence[_Question[K, V]], error: Exception) -> None:
    for question in questions:
        if not question.answer.done():
            question.answer.set_exception(error)
