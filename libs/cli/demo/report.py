"""The table of what happened, and the JSON line. Pure but for printing."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from rich.table import Table

from libs.cli.demo.proof import ERP_KIND
from libs.cli.demo.story import Outcome
from libs.cli.demo.watch import Lineage


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def figures(outcome: Outcome) -> list[tuple[str, str]]:
    """Lines of the table."""
    tally, verdict = outcome.tally, outcome.verdict
    accepts = [acceptance.took.total_seconds() for acceptance in tally.accepted]
    reached = seconds_to_erp(outcome)
    tries = count_tries(outcome.lineages)
    lines = [
        ("orders acknowledged", str(len(tally.accepted))),
        ("order lines", str(sum(len(acceptance.order.lines) for acceptance in tally.accepted))),
        ("acknowledged after, p50 / p99", _pair(accepts, 1000, "ms")),
        ("in the ERP after, p50 / p99", _pair(reached, 1, "s")),
        ("requests repeated by the client", str(tally.repeats)),
        ("sent twice with one key", f"{tally.sent_twice}, unequal answers {len(tally.unequal)}"),
        ("deliveries retried", str(tries["retried"])),
        ("in doubt, resolved", f"{tries['in_doubt']}, {tries['resolved']}"),
        ("parked", str(tries["parked"])),
        ("faults hit", ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.hits.items()) if count)),
    ]
    if outcome.erp is not None:
        requests = outcome.erp.requests
        lines.append(
            ("requests to the ERP, at most at once", f"{requests.total}, {outcome.erp.concurrency_max}")
        )
    if outcome.killed:
        restarts = ", ".join(f"{name} ×{count}" for name, count in sorted(outcome.killed.items()))
        lines.append(("started again", restarts))
    if verdict is not None:
        found = f"{verdict.paid} paid, {verdict.duplicates} duplicates, {verdict.lost} lost"
        lines.append(("the two ledgers say", found))
    return lines


def figures_table(outcome: Outcome) -> Table:
    table = Table(title="what happened", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in figures(outcome):
        table.add_row(name, value or "none")
    return table


def seconds_to_erp(outcome: Outcome) -> list[float]:
    """From the first sending to the ERP document's own time of creation."""
    if outcome.erp is None:
        return []
    created = {
        document.external_id: document.created
        for document in outcome.erp.documents
        if document.kind == ERP_KIND
    }
    return [
        (created[acceptance.order_id] - acceptance.sent).total_seconds()
        for acceptance in outcome.tally.accepted
        if acceptance.order_id in created
    ]


def count_tries(lineages: Sequence[Lineage]) -> Counter[str]:
    """`retried` attempts, deliveries ever `in_doubt`, those of them `resolved`, deliveries ever `parked`."""
    counts: Counter[str] = Counter()
    for lineage in lineages:
        state = {delivery.delivery_id: delivery.state for delivery in lineage.deliveries}
        counts["retried"] += sum(attempt.outcome == "retrying" for attempt in lineage.attempts)
        doubted = {attempt.delivery_id for attempt in lineage.attempts if attempt.outcome == "in_doubt"}
        counts["in_doubt"] += len(doubted)
        counts["resolved"] += sum(state.get(name, "").endswith("_DELIVERED") for name in doubted)
        parked = {attempt.delivery_id for attempt in lineage.attempts if attempt.outcome == "parked"}
        counts["parked"] += len(parked)
    return counts


def last_line(outcome: Outcome, submitted: int, took: timedelta) -> str:
    """The JSON that tools read: the very last line on standard output."""
    verdict = outcome.verdict
    unequal = len(outcome.tally.unequal)
    return json.dumps(
        {
            "orders": submitted,
            "paid": verdict.paid if verdict else 0,
            "duplicates": (verdict.duplicates if verdict else 0) + unequal,
            "lost": verdict.lost if verdict else submitted,
            "seconds": round(took.total_seconds(), 1),
        }
    )


def _pair(values: Sequence[float], factor: int, unit: str) -> str:
    low, high = percentile(values, 0.5) * factor, percentile(values, 0.99) * factor
    return f"{low:,.1f} / {high:,.1f} {unit}"
