"""Who calls, and whether the method admits them: roles come from `allowed_roles` in the contract; no role, no entry."""

from libs.common.context import CallContext, current
from libs.common.errors import Refused
from libs.common.identity import Identity, Verifier, bearer_token
from libs.common.rpc.call import Call
from libs.common.rpc.contract import Method

AUTHORIZATION_KEY = "authorization"


class Admission:
    """Verifies the token, checks the role, and puts tenant and actor into the call's context."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def __call__(self, call: Call) -> None:
        """Refused UNAUTHENTICATED, PERMISSION_DENIED."""
        identity = self.identity(call.metadata.get(AUTHORIZATION_KEY, ""))
        call.context = identified(call.context, identity)
        current.set(call.context)
        self.refuse_stranger(call.context, call.method)

    def identity(self, authorization: str) -> Identity:
        """Who calls. Refused UNAUTHENTICATED."""
        return self._verifier.verify(bearer_token(authorization))

    def refuse_stranger(self, context: CallContext, method: Method) -> None:
        """Refused PERMISSION_DENIED unless one of the caller's roles may call the method."""
        if method.roles.isdisjoint(context.roles):
            raise Refused("PERMISSION_DENIED", f"{method.path} is not open to the roles of this token")


def identified(known: CallContext, identity: Identity) -> CallContext:
    """The context with what only a verified token may say."""
    return CallContext(
        tenant=identity.tenant,
        system=identity.system,
        actor=identity.subject,
        roles=identity.roles,
        correlation_id=known.correlation_id,
        causation_id=known.causation_id,
        traceparent=known.traceparent,
    )
