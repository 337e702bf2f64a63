"""Every metric there is. Open this file to add one, or to learn what a number means and which labels it has.

Names of calls are OpenTelemetry's, as Prometheus writes them; what is ours begins with `ordermesh_`. A label's values
are few and come from code, contracts or settings: no tenant, no id of a record, nothing that stood in a payload.
`docs/metrics.md` is written from here. What is only known when somebody asks is set by a reading (`serving.py`).
"""

from libs.common.metrics.declaring import SIZES, counter, gauge, histogram

HTTP_SERVER = histogram(
    "http_server_request_duration_seconds",
    "Requests answered by the gateway; an unknown path has an empty route, open pages do not count.",
    "http_request_method",
    "http_route",
    "http_response_status_code",
)
HTTP_UNDER_WAY = gauge("http_server_active_requests", "Requests under way in the gateway.")
HTTP_REFUSED = counter(
    "ordermesh_requests_refused_total",
    "Requests the gateway answered with a problem, by its code; RATE_LIMITED and OVERLOADED among them.",
    "reason",
)
RATE_LIMITED = counter(
    "ordermesh_rate_limited_total",
    "Requests refused because a rate was spent: that of a client, of a tenant, or of a client's bulk work.",
    "quota",
)
RPC_SERVER = histogram(
    "rpc_server_call_duration_seconds",
    "gRPC calls answered, by method and status; a batch is one call.",
    "rpc_method",
    "rpc_response_status_code",
)
RPC_CLIENT = histogram(
    "rpc_client_call_duration_seconds",
    "gRPC calls made to other processes, by method and status, with gRPC's own repetitions; a stream until it ends.",
    "rpc_method",
    "rpc_response_status_code",
)
RPC_REFUSED = counter(
    "ordermesh_calls_refused_total",
    "gRPC calls, and entries of batches, that ended with an error, by method and reason.",
    "rpc_method",
    "reason",
)
COMMANDS = counter(
    "ordermesh_commands_total",
    "Commands by outcome: committed, replayed (answered as an earlier request was), previewed, failed.",
    "command",
    "outcome",
)
GROUP_SIZE = histogram("ordermesh_commit_commands", "Commands that shared one commit.", buckets=SIZES)
TRANSITIONS = counter(
    "ordermesh_transitions_total",
    "Records that a commit moved from one state to another, by collection; a new record comes from an empty state.",
    "collection",
    "from_state",
    "to_state",
)
CONNECTIONS = gauge(
    "ordermesh_database_connections", "Connections of the process to its database: used or idle.", "state"
)
CONNECTIONS_MAX = gauge("ordermesh_database_connections_max", "Connections the process may have.")
DELIVERIES = gauge(
    "ordermesh_deliveries",
    "Open deliveries of the service by target and state (PENDING, RETRYING, IN_DOUBT, PARKED); told by relays.",
    "target",
    "state",
)
DELIVERY_AGE = gauge(
    "ordermesh_delivery_oldest_age_seconds",
    "Age of the oldest open delivery by target and state, 0 where there is none; told by relays.",
    "target",
    "state",
)
DELIVERY_OVERDUE = gauge(
    "ordermesh_delivery_overdue_seconds",
    "How long ago the delivery was due that waits longest to be tried, by target; told by relays.",
    "target",
)
TRIES = counter(
    "ordermesh_delivery_tries_total",
    "Tries of deliveries by target and by the state they led to; DELIVERED is success.",
    "target",
    "state",
)
TRY_SECONDS = histogram(
    "ordermesh_delivery_try_duration_seconds", "Time a target took for one try.", "target"
)
TRIES_FAILED = counter(
    "ordermesh_delivery_failures_total", "Tries that failed, by target and reason.", "target", "reason"
)
LANE_UNDER_WAY = gauge(
    "ordermesh_lane_tries_under_way", "Tries of this relay that a target has not answered yet.", "target"
)
LANE_OPEN = gauge(
    "ordermesh_lane_breaker_open", "1 while this relay leaves a failing target alone, else 0.", "target"
)
LANE_PAUSED = gauge(
    "ordermesh_lane_paused_seconds", "What is left of the pause that a target has asked for.", "target"
)
INGEST_LAG = gauge(
    "ordermesh_ingest_lag_seconds",
    "Time since everything a system had to tell of a kind was taken in; of several tenants the one furthest behind.",
    "system",
    "kind",
)
INGEST_FAILING = gauge(
    "ordermesh_ingest_failing", "Feeds of a system and kind whose last reading failed.", "system", "kind"
)
INGESTED = counter(
    "ordermesh_ingest_changes_total",
    "Changes read from a system, by kind, known ones included.",
    "system",
    "kind",
)
VENDOR_CALLS = histogram(
    "http_client_request_duration_seconds",
    "Calls of a connector to its system by verb and status, which is empty where no answer came.",
    "http_request_method",
    "http_response_status_code",
)
BUDGET_SPENT = counter(
    "ordermesh_budget_calls_total", "Calls this connector has taken from its system's budget."
)
BUDGET_REFUSED = counter(
    "ordermesh_budget_refused_total",
    "Calls that were not made, because the budget was spent or the system paused.",
)
BUDGET_MAX = gauge(
    "ordermesh_budget_calls_per_minute_max",
    "The budget of all connectors of the system together; 0 sets no limit.",
)
BUILD = gauge("ordermesh_build_info", "1, with the version of the process.", "version", "process")
READINGS_FAILED = counter(
    "ordermesh_metrics_readings_failed_total",
    "Readings that failed while somebody asked for metrics; what they would have told is missing.",
)
