"""`python -m connectors.netsuite.simulator --port N [--state FILE]`: one simulated NetSuite account."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from zoneinfo import ZoneInfo

from joserfc.jwk import import_key

from connectors.kit.simulator import arguments, run
from connectors.netsuite.simulator import tba
from connectors.netsuite.simulator.account import Preferences
from connectors.netsuite.simulator.app import build
from connectors.netsuite.simulator.auth import Integration


def _parser() -> ArgumentParser:
    parser = arguments("python -m connectors.netsuite.simulator", "A NetSuite account on a laptop.")
    parser.add_argument(
        "--concurrency", type=int, default=5, help="requests in parallel (default %(default)s)"
    )
    parser.add_argument(
        "--new-order-status", choices=("A", "B"), default="A", help="of orders that name none"
    )
    parser.add_argument(
        "--credit-check", choices=("ignore", "block"), default="ignore", help="when an order is saved"
    )
    parser.add_argument(
        "--time-zone", type=ZoneInfo, default=ZoneInfo("America/Los_Angeles"), help="of SuiteQL"
    )
    parser.add_argument("--client-id", default="", help="consumer key that assertions must name")
    parser.add_argument("--certificate-id", default="", help="kid that assertions must name")
    parser.add_argument(
        "--public-key-file", type=Path, help="JWK that verifies assertions; none = any is taken"
    )
    parser.add_argument("--token-seconds", type=int, default=3600, help="life of an access token")
    parser.add_argument(
        "--tba-file", type=Path, help="four lines: consumer key, consumer secret, token, token secret"
    )
    return parser


def _integration(options: Namespace) -> Integration:
    key_file: Path | None = options.public_key_file
    tba_file: Path | None = options.tba_file
    return Integration(
        client_id=options.client_id,
        certificate_id=options.certificate_id,
        public_key=None if key_file is None else import_key(json.loads(key_file.read_text())),
        token_seconds=options.token_seconds,
        tba_secrets=None if tba_file is None else tba.Secrets(*tba_file.read_text().split()),
    )


def main() -> None:
    options = _parser().parse_args()
    preferences = Preferences(
        time_zone=options.time_zone,
        new_order_status=options.new_order_status,
        credit_check=options.credit_check,
        concurrency_limit=options.concurrency,
    )
    app = build(
        options.state,
        preferences=preferences,
        integration=_integration(options),
        latency_seconds=options.latency,
    )
    run(app, host=options.host, port=options.port)


if __name__ == "__main__":
    main()
