"""Writes docs/metrics.md from the metrics' declarations: `make docs`. A test compares page and code."""

from libs.common.metrics.declaring import CATALOGUE
from tests.tidy.tree import ROOT

PAGE = ROOT / "docs/metrics.md"
HEAD = """\
# Metrics

Every process tells its own at `GET /metrics`, for Prometheus, once `ORDERMESH_METRICS_LISTEN` names a port
([settings](settings.md)); `ordermesh status --metrics` lists the ports of a mesh on this machine. The text format and
OpenMetrics are both spoken. Names of calls are OpenTelemetry's as Prometheus writes them; what is ours begins with
`ordermesh_`.

Labels come from code, contracts and the topology, so their number is bounded by these: no tenant, no id, no number of
an order, nothing from a payload. Which order it was stands in [lineage and log](runbook.md).

What is counted begins at 0 with the process. What is a depth, an age or a lag is read when somebody asks, at most
every two seconds, and counts up to 100,000 open deliveries; when a reading fails its values are missing, never old. All
relays of a service tell the same depths, hence `max` over them and not `sum`.

This page is written by `make docs` from `libs/common/metrics/__init__.py`; change it there.
"""
TAIL = """
Besides these, `process_*` (CPU seconds, resident memory, open files, start time) on Linux.

## Questions and answers

"""
SUBMISSION = '{http_request_method="POST",http_route="/v1/orders"}'
QUESTIONS = (
    (
        "Orders taken in per second",
        'sum(rate(ordermesh_transitions_total{collection="orders",from_state=""}[5m]))',
    ),
    (
        "Seconds in which 99 % of submissions are answered",
        f"histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{SUBMISSION}[5m])))",
    ),
    (
        "Orders that share one commit",
        "rate(ordermesh_commit_commands_sum[5m]) / rate(ordermesh_commit_commands_count[5m])",
    ),
    ("What a person must look at", 'max by (job, target) (ordermesh_deliveries{state="PARKED"})'),
    (
        "Calls left of the budget, over the connectors of one system",
        "max(ordermesh_budget_calls_per_minute_max) - sum(increase(ordermesh_budget_calls_total[1m]))",
    ),
    ("Repeated requests", 'sum(rate(ordermesh_commands_total{outcome="replayed"}[5m]))'),
)


def page() -> str:
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.text} |\n"
        for metric in CATALOGUE
    ]
    table = "\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n"
    asked = [f"| {question} | `{expression}` |\n" for question, expression in QUESTIONS]
    return "".join([HEAD, table, *rows, TAIL, "| Question | Expression |\n|---|---|\n", *asked])


if __name__ == "__main__":
    PAGE.write_text(page())
