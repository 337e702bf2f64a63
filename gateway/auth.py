"""Who calls, and whether the route admits them. Open this file when a caller is refused with 401 or 403.

Services verify the token and the role again; the gateway looks first so that a stranger costs them nothing.
"""

from gateway.exchange import AtTheEdge, Exchange
from libs.common.context import CallContext, current
from libs.common.errors import Refused
from libs.common.identity import Verifier, bearer_token


class Admission:
    """Verifies the bearer token and the role; the context of the call is set from here on."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def admit(self, exchange: Exchange, roles: frozenset[str]) -> None:
        """Refused UNAUTHENTICATED, PERMISSION_DENIED."""
        authorization = exchange.header(b"authorization")
        if not authorization:
            raise AtTheEdge(
                401,
                "UNAUTHENTICATED",
                "a bearer token is required",
                headers={"WWW-Authenticate": 'Bearer realm="ordermesh"'},
            )
        token = bearer_token(authorization)
        identity = self._verifier.verify(token)
        exchange.token = token
        exchange.context = CallContext(
            tenant=identity.tenant,
            system=identity.system,
            actor=identity.subject,
            roles=identity.roles,
            correlation_id=exchange.correlation_id,
            traceparent=exchange.traceparent,
        )
        current.set(exchange.context)
        if roles.isdisjoint(identity.roles):
            needed = ", ".join(sorted(roles - {"admin", "mesh"}))
            raise Refused("PERMISSION_DENIED", f"one of these roles is needed: {needed}")
