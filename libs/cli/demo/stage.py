"""Progress of the demo: bars with a terminal, a line now and then without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from libs.common.clock import Clock

LINE_EVERY = timedelta(seconds=3)


class Stage:
    """What the demo shows while it runs."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._began = clock.now()
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, datetime] = {}
        self.spans: dict[str, timedelta] = {}
        """How long each phase took."""

    @property
    def elapsed(self) -> timedelta:
        return self._clock.now() - self._began

    def say(self, text: str, style: str = "") -> None:
        """One line that stays."""
        stamp = f"{self.elapsed.total_seconds():6.1f} s  "
        self._bars.console.print(
            stamp + text, style=style or None, markup=False, highlight=False, soft_wrap=True
        )

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Bars are drawn inside the block, where there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with self._bars:
            yield

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures a phase and says when it is done."""
        began = self._clock.now()
        yield
        self.spans[name] = self._clock.now() - began
        self.say(f"{name} ({self.spans[name].total_seconds():.1f} s)")

    def show(self, what: str, done: int, total: int) -> None:
        """How far something has come."""
        if self._console.is_terminal:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done)
            return
        now = self._clock.now()
        if what not in self._said or now - self._said[what] >= LINE_EVERY:
            self._said[what] = now
            self.say(f"{what}: {done} of {total}")
