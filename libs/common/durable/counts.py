"""What the durable core counts for metrics. Open this file to learn what a commit or a settled batch adds to them.

Counted once a commit and not once a command, after the commit: what was rolled back never happened.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from libs.common.durable.claims import Verdict
from libs.common.durable.jobs import Settled
from libs.common.durable.model import Tried
from libs.common.durable.tx import Group
from libs.common.metrics import COMMANDS, GROUP_SIZE, TRANSITIONS, TRIES, TRIES_FAILED, TRY_SECONDS

COMMITTED = "committed"
REPLAYED = "replayed"
PREVIEWED = "previewed"
FAILED = "failed"


def count_commands(settled: Settled) -> None:
    """The commands of one commit."""
    outcomes = Counter(
        (job.rule, REPLAYED if answered.replayed else PREVIEWED if job.once.preview else COMMITTED)
        for job, answered in settled.answers
    )
    outcomes.update((job.rule, FAILED) for job, _ in settled.errors)
    committed = 0
    for (command, outcome), number in outcomes.items():
        COMMANDS.at(command, outcome).inc(number)
        committed += number if outcome == COMMITTED else 0
    if committed:
        GROUP_SIZE.at().observe(committed)


def count_transitions(group: Group) -> None:
    """The records one commit has moved; those that moved alike stand side by side as a rule, and count as one."""
    for (collection, was, now), alike in groupby(group.transitions()):
        names = (state.name if state is not None else "" for state in (was, now))
        TRANSITIONS.at(collection, *names).inc(sum(1 for _ in alike))


def count_tries(settled: Sequence[tuple[Tried, Verdict]]) -> None:
    """The deliveries of one settled batch."""
    for tried, verdict in settled:
        target = tried.delivery.target
        TRIES.at(target, verdict.state.value).inc()
        TRY_SECONDS.at(target).observe(tried.took_us / 1_000_000)
        if verdict.reason:
            TRIES_FAILED.at(target, verdict.reason).inc()
