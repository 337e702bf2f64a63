"""Making the vendor misbehave on demand; open it to add a fault or to see exactly when one strikes.

Switches are armed by `POST /_sim/faults` with one object or a list of them:

    kind         lose_reply    handle the request to the end, then drop the connection without answering
                 reset         drop the connection before the request is looked at
                 throttle      the vendor's own "too many requests"
                 unavailable   503 in the vendor's shape, before the request is looked at
                 unavailable_after  the same, but only after the request was handled to the end
                 slow          wait `seconds`, then go on (the request is handled even if the caller has left)
                 expired_token 401 in the vendor's shape; the token that was presented is dead from then on
                 duplicate     the change feed tells a change twice
                 out_of_order  the change feed tells the newest change first, or a late one
    count        how many requests it hits; default 1, 0 = until cleared
    probability  text such as "0.05": hits that share of requests; `count` then defaults to 0
    seed         whole number; the same seed draws the same requests
    method       only this HTTP method
    path         only paths in which this regular expression is found; without it the token endpoint is spared
    after        lets this many matching requests pass first
    retryAfter   sent verbatim as `Retry-After` (throttle, unavailable); absent = no such header
    seconds      for slow
"""

import random
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from connectors.kit.simulator.exact import JsonObject, Malformed


class FaultKind(StrEnum):
    LOSE_REPLY = "lose_reply"
    RESET = "reset"
    THROTTLE = "throttle"
    UNAVAILABLE = "unavailable"
    UNAVAILABLE_AFTER = "unavailable_after"
    SLOW = "slow"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105  a fault, not a secret
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"


FEED_KINDS = frozenset({FaultKind.DUPLICATE, FaultKind.OUT_OF_ORDER})
"""Struck when the simulator's change feed asks, never by the middleware."""

_FIELDS = frozenset(
    {
        "kind",
        "count",
        "probability",
        "seed",
        "method",
        "path",
        "after",
        "retryAfter",
        "seconds",
    },
)


@dataclass(slots=True)
class Fault:
    """One armed switch and how often it struck."""

    id: str
    kind: FaultKind
    count: int = 1
    probability: Decimal | None = None
    seed: int = 0
    method: str | None = None
    path: re.Pattern[str] | None = None
    after: int = 0
    retry_after: str | None = None
    seconds: float = 0.0
    seen: int = 0
    hits: int = 0
    _draws: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        self._draws.seed(self.seed)

    @property
    def spent(self) -> bool:
        return 0 < self.count <= self.hits

    def strikes(self, method: str, path: str, *, spared: bool) -> bool:
        """Whether this request is hit; counts it if so. spared: a path that must be named to be hit."""
        if self.spent or (self.method is not None and self.method != method):
            return False
        if spared if self.path is None else self.path.search(path) is None:
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        if self.probability is not None and self._draws.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def as_json(self) -> JsonObject:
        shown: JsonObject = {
            "id": self.id,
            "kind": self.kind.value,
            "count": self.count,
            "after": self.after,
        }
        if self.probability is not None:
            shown |= {"probability": str(self.probability), "seed": self.seed}
        if self.method is not None:
            shown["method"] = self.method
        if self.path is not None:
            shown["path"] = self.path.pattern
        if self.retry_after is not None:
            shown["retryAfter"] = self.retry_after
        if self.kind is FaultKind.SLOW:
            shown["seconds"] = self.seconds
        return shown | {"seen": self.seen, "hits": self.hits}


class Faults:
    """The armed switches, asked in the order in which they were armed."""

    def __init__(self, spared_paths: Collection[str] = ()) -> None:
        self._armed: list[Fault] = []
        self._armed_ever = 0
        self._spared_paths = frozenset(spared_paths)

    def arm(self, wanted: object) -> list[Fault]:
        """Arms one object or all of a list; a bad one arms none. Raises Malformed that says what is wrong."""
        bodies = wanted if isinstance(wanted, list) else [wanted]
        parsed = [
            _parse(body, f"f{self._armed_ever + number}") for number, body in enumerate(bodies, start=1)
        ]
        self._armed_ever += len(parsed)
        self._armed += parsed
        return parsed

    def armed(self) -> list[Fault]:
        """Every switch since the last clearing, the spent ones too: their hits are what a test asks for."""
        return list(self._armed)

    def clear(self) -> int:
        cleared = len(self._armed)
        self._armed = []
        return cleared

    def for_request(self, method: str, path: str) -> list[Fault]:
        """What strikes this request: any number of `slow`, then at most one other."""
        if not self._armed:
            return []
        struck: list[Fault] = []
        spared = path in self._spared_paths
        for fault in self._armed:
            if fault.kind in FEED_KINDS or not fault.strikes(method, path, spared=spared):
                continue
            struck.append(fault)
            if fault.kind is not FaultKind.SLOW:
                break
        return struck

    def for_feed(self, kind: FaultKind, method: str, path: str) -> bool:
        """Whether the change feed is to duplicate or disorder its answer to this request."""
        return any(fault.kind is kind and fault.strikes(method, path, spared=False) for fault in self._armed)


def _parse(body: object, id_: str) -> Fault:
    if not isinstance(body, dict):
        raise Malformed("a fault is an object, or a list of objects")
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise Malformed(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    kind = body.get("kind")
    if kind not in set(FaultKind):
        raise Malformed(f"kind must be one of {', '.join(FaultKind)}")
    probability = _probability(body.get("probability"))
    method = body.get("method")
    return Fault(
        id=id_,
        kind=FaultKind(kind),
        count=_whole(body, "count", 1 if probability is None else 0),
        probability=probability,
        seed=_whole(body, "seed", 0),
        method=None if method is None else str(method).upper(),
        path=_pattern(body.get("path")),
        after=_whole(body, "after", 0),
        retry_after=_header_value(body.get("retryAfter")),
        seconds=_seconds(body.get("seconds", 0)),
    )


def _whole(body: JsonObject, name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(f"{name} must be a whole number, 0 or more")
    return value


def _probability(value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        share = Decimal(str(value))
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise Malformed('probability must be a number from "0" to "1"')
    return share


def _pattern(value: object) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(str(value))
    except re.error as error:
        raise Malformed(f"path is no regular expression: {error}") from error


def _header_value(value: object) -> str | None:
    text = None if value is None else str(value)
    if text is not None and (not text.isascii() or not text.isprintable()):
        raise Malformed("retryAfter must be printable ASCII")
    return text


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 3600:
        raise Malformed("seconds must be a number from 0 to 3600")
    return float(value)
