"""`python -m connectors.salesforce.simulator --port N`: the simulated org as a process."""

from __future__ import annotations

from pathlib import Path

from connectors.kit.simulator import arguments, run

from .app import Options, build
from .tls import Tls
from .web import DAILY_CALLS


def main() -> None:
    parser = arguments("python -m connectors.salesforce.simulator", "A laptop-sized Salesforce org.")
    parser.add_argument("--tls-port", type=int, default=0, help="port for HTTPS; 0 picks a free one")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain in PEM; switches HTTPS on")
    parser.add_argument("--tls-key", type=Path, help="its private key in PEM")
    parser.add_argument("--client-secret", default="", help="the only client secret accepted (default: any)")
    parser.add_argument(
        "--daily-calls",
        type=int,
        default=DAILY_CALLS,
        metavar="N",
        help="calls before REQUEST_LIMIT_EXCEEDED",
    )
    wanted = parser.parse_args()
    if (wanted.tls_cert is None) != (wanted.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    tls = Tls(wanted.tls_cert, wanted.tls_key, wanted.host, wanted.tls_port) if wanted.tls_cert else None
    options = Options(
        state=wanted.state,
        latency_seconds=wanted.latency,
        client_secret=wanted.client_secret,
        daily_calls=wanted.daily_calls,
        tls=tls,
    )
    run(build(options), host=wanted.host, port=wanted.port)


if __name__ == "__main__":
    main()
