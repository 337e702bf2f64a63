"""The outside systems of a tenant: `GET /v1/systems`. Open this file to change what a caller learns of them."""

import json
from collections.abc import Mapping

from gateway.conditions import check_accept
from gateway.exchange import Exchange, Reply
from gateway.health import SERVING, Readiness
from libs.common.topology import Topology

TEMPLATE = "/v1/systems"


class Systems:
    """Answers with name, role and reachability; addresses and other tenants are nobody's business."""

    def __init__(self, topology: Topology, readiness: Readiness, *, show_simulators: bool) -> None:
        self._topology = topology
        self._readiness = readiness
        self._show_simulators = show_simulators

    async def answer(self, exchange: Exchange, _variables: Mapping[str, str]) -> Reply:
        check_accept(exchange)
        standing = await self._readiness.look()
        systems = [
            {
                "system": name,
                "role": system.role,
                "reachable": standing.systems.get(name) == SERVING,
                **({"simulator": system.simulator} if self._show_simulators and system.simulator else {}),
            }
            for name, system in sorted(self._topology.systems_of(exchange.caller.tenant).items())
        ]
        return Reply(200, json.dumps({"systems": systems}).encode())
