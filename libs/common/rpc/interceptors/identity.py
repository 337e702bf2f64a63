"""Who calls, and whether the method admits them: roles come from `allowed_roles` in the contract; no role, no entry."""

from libs.common.context import CallContext, current
from libs.common.errors import Refused
from libs.common.identity import Verifier, bearer_token
from libs.common.rpc.call import Call

AUTHORIZATION_KEY = "authorization"


class Admission:
    """Verifies the token, checks the role, and puts tenant and actor into the call's context."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def __call__(self, call: Call) -> None:
        """Refused UNAUTHENTICATED, PERMISSION_DENIED."""
        identity = self._verifier.verify(bearer_token(call.metadata.get(AUTHORIZATION_KEY, "")))
        known = call.context
        call.context = CallContext(
            tenant=identity.tenant,
            system=identity.system,
            actor=identity.subject,
            roles=identity.roles,
            correlation_id=known.correlation_id,
            causation_id=known.causation_id,
            traceparent=known.traceparent,
        )
        current.set(call.context)
        if call.method.roles.isdisjoint(identity.roles):
            raise Refused("PERMISSION_DENIED", f"{call.method.path} is not open to the roles of this token")
