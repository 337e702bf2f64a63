"""Who owns which field: `GET /v1/ownership`. Open this file to change what a caller learns of it."""

import json
from collections.abc import Mapping
from functools import cache

from gateway.conditions import check_accept
from gateway.exchange import Exchange, Reply
from libs.common.ownership_matrix import Matrix, matrices

TEMPLATE = "/v1/ownership"


async def answer(exchange: Exchange, _variables: Mapping[str, str]) -> Reply:
    """The matrix of all records; the same for every tenant."""
    check_accept(exchange)
    return Reply(200, _content())


@cache
def _content() -> bytes:
    return json.dumps({"resources": [_resource(matrix) for matrix in matrices()]}).encode()


def _resource(matrix: Matrix) -> Mapping[str, object]:
    return {
        "resource": matrix.resource,
        "owner": matrix.owner,
        "syncCadenceSeconds": int(matrix.sync_cadence.total_seconds()),
        "fields": [
            {
                "path": entry.path,
                "jsonPath": entry.json_path,
                "owner": entry.owner,
                "updaters": entry.updaters,
                "policy": entry.policy,
            }
            for entry in matrix.entries
        ],
    }
