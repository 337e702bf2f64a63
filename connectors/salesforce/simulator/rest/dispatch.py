"""Which resource a path means: open this first to add one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from connectors.salesforce.simulator import errors
from connectors.salesforce.simulator.org import Org, Session, Transaction

from . import about, sobjects
from .calls import Call, Reply, refused
from .composite import collections, requests, tree
from .queries import Cursors

Resource: TypeAlias = Callable[[Transaction, Call], Reply]


class Api:
    """Every resource of the REST API. usage: calls made and calls allowed, for /limits."""

    def __init__(self, org: Org, cursors: Cursors, usage: Callable[[], tuple[int, int]]) -> None:
        self._org = org
        self._resources: dict[str, Resource] = {
            "": about.resources,
            "limits": lambda tx, call: about.limits(*usage()),
            "sobjects": sobjects.answer,
            "query": cursors.answer,
            "queryall": cursors.answer,
            "composite": self._composite,
        }

    def answer(self, call: Call, session: Session) -> Reply:
        """One call in one transaction: what it wrote stays only if the call as a whole was not refused."""
        try:
            with self._org.transaction(session) as tx:
                return self._run(tx, call)
        except errors.SalesforceError as error:
            return refused(error, call.base)

    def _run(self, tx: Transaction, call: Call) -> Reply:
        resource = self._resources.get(call.segments[0].lower() if call.segments else "")
        if resource is None:
            raise errors.resource_not_found()
        return resource(tx, call)

    def _composite(self, tx: Transaction, call: Call) -> Reply:
        kind = call.segments[1].lower() if len(call.segments) > 1 else ""
        if kind == "sobjects":
            return collections.answer(tx, call)
        if call.method != "POST":
            raise errors.method_not_allowed(call.method, "POST")
        if kind == "":
            return requests.composite(tx, call, self._run)
        if kind == "batch":
            return requests.batch(tx, call, self._run)
        if kind == "tree" and len(call.segments) == 3:
            return tree.answer(tx, call)
        raise errors.resource_not_found()
