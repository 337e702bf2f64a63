"""What is known after a call that failed: the one place that decides. Open this file before you sort a lost answer.

    how far the request came      a call without effect     a call with effects
    NOT_SENT   no byte of it left   NotDone                   NotDone
    SENT       it may have arrived  NotDone                   OutcomeUnknown
    ANSWERED   "not done", they say NotDone                   NotDone

How far a request came is told by the exception, and each client has one table that says so: `connectors/kit/http.py`
for HTTP, `libs/common/rpc/status.py` for gRPC, `libs/common/durable/store.py` for PostgreSQL. A write to Redis has no
effect in this sense, for nothing that counts is kept there. What an answer means is the table of whom it comes from.
"""

from enum import StrEnum

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown


class Reach(StrEnum):
    """How far a request came."""

    NOT_SENT = "NOT_SENT"
    SENT = "SENT"
    """Perhaps in part; whenever it is not known, it counts as sent."""
    ANSWERED = "ANSWERED"


def kind_after(reach: Reach, *, effect: bool) -> type[OrdermeshError]:
    """NotDone or OutcomeUnknown. effect: whether the call can change anything over there."""
    return OutcomeUnknown if reach is Reach.SENT and effect else NotDone


def after(
    reach: Reach, *, effect: bool, detail: str, not_done: str, unknown: str = "OUTCOME_UNKNOWN"
) -> OrdermeshError:
    """The error for a call that came so far. not_done, unknown: its reason in either case."""
    kind = kind_after(reach, effect=effect)
    return kind(unknown if kind is OutcomeUnknown else not_done, detail)
