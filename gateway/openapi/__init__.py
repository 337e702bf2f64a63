"""The OpenAPI documents, made from the contracts when the gateway starts. Start at `document.py`."""

import json
from collections.abc import Iterable, Mapping

from gateway.openapi.comments import read_comments
from gateway.openapi.document import document
from gateway.openapi.older import in_3_0
from gateway.rules import Rule


def documents(rules: Iterable[Rule], public_url: str) -> Mapping[str, bytes]:
    """JSON by path. public_url: address callers use; empty leaves it relative."""
    newer = document(rules, read_comments(), public_url)
    return {
        "/openapi.json": json.dumps(newer, ensure_ascii=False).encode(),
        "/openapi-3.0.json": json.dumps(in_3_0(newer), ensure_ascii=False).encode(),
    }
