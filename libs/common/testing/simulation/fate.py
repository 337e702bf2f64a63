"""What is left to chance, drawn from one seed. Open this file to add a fault or to change how often one strikes.

Every message that arrives is a step: a line of the trace, and a moment at which a fault may strike. The same seed gives
the same steps.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256

TRACE_MAX = 100_000
DELAY_SECONDS_MAX = 25.0
"""Longer than a lease of the simulation lasts; calls have given up by then."""
HURRY_SECONDS = 0.002
"""Mean time of a message that nothing delays."""


class Fault(StrEnum):
    """What can befall a step."""

    LOSE_REQUEST = "request lost"
    LOSE_REPLY = "reply lost"
    DUPLICATE = "call doubled"
    DELAY = "message delayed"
    CUT = "database cut"
    LOSE_COMMIT = "commit reply lost"
    AGAIN = "transaction refused"
    PARTITION = "partition"
    CRASH = "crash"
    RESTART = "restart in order"


@dataclass(frozen=True, slots=True)
class Weather:
    """How often each fault strikes, as a share of the steps it can strike at."""

    lose_request: float = 0.0
    lose_reply: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    cut: float = 0.0
    lose_commit: float = 0.0
    again: float = 0.0
    partition: float = 0.0
    crash: float = 0.0
    restart: float = 0.0

    def rate(self, fault: Fault) -> float:
        return float(getattr(self, fault.name.lower()))


WORST = Weather(
    lose_request=0.12,
    lose_reply=0.3,
    duplicate=0.15,
    delay=0.02,
    cut=0.015,
    lose_commit=0.10,
    again=0.03,
    partition=0.003,
    crash=0.008,
    restart=0.003,
)
STILL = Weather()


def drawn_weather(draw: random.Random) -> Weather:
    """Each fault at most as often as in the worst; some not at all, because faults hide each other."""
    return Weather(
        **{each.name: getattr(WORST, each.name) * draw.choice((0.0, 0.3, 1.0)) for each in fields(Weather)}
    )


class Fate:
    """One run's chance and its trace."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.seed = seed
        self.draw = random.Random(f"ordermesh {seed}")  # noqa: S311  (chance that must be replayed)
        self.weather = weather or drawn_weather(self.draw)
        self.calm = True
        """While true no fault strikes."""
        self.steps = 0
        self.struck: Counter[Fault] = Counter()
        self.trace: list[str] = []
        self.objections: list[str] = []
        self.broken = asyncio.Event()
        """Set with the first objection."""
        self.after_step: Callable[[], None] = lambda: None
        """May let processes die."""
        self._digest = sha256()

    def stream(self, name: str) -> random.Random:
        """A stream of chance of its own, so that who takes from it disturbs nobody else."""
        return random.Random(f"ordermesh {self.seed} {name}")  # noqa: S311

    def step(self, said: str) -> None:
        """Something arrives; whoever it is meant for may be dead when this returns."""
        self.steps += 1
        self.note(said)
        self.after_step()

    def note(self, said: str) -> None:
        """A line of the trace that is no step."""
        line = f"{self.steps:>6} {asyncio.get_running_loop().time():12.6f} {said}"
        self._digest.update(line.encode())
        if len(self.trace) < TRACE_MAX:
            self.trace.append(line)

    def object(self, said: str) -> None:
        """Something that must never happen has."""
        self.note(f"OBJECTION {said}")
        self.objections.append(said)
        self.broken.set()

    @property
    def digest(self) -> str:
        """Of the whole trace."""
        return self._digest.hexdigest()

    def strikes(self, *faults: Fault) -> Fault | None:
        """Which of the faults strikes now, at most one."""
        if self.calm:
            return None
        number = self.draw.random()
        for fault in faults:
            number -= self.weather.rate(fault)
            if number < 0:
                self.struck[fault] += 1
                return fault
        return None

    def latency(self, seconds_max: float = DELAY_SECONDS_MAX) -> float:
        """How long a message takes, in seconds."""
        hurry = self.draw.expovariate(1 / HURRY_SECONDS)
        return self.draw.uniform(0.0, seconds_max) if self.strikes(Fault.DELAY) else hurry
