"""The org's URLs over HTTP: open this to see which URL goes where and how a request becomes a call.

`paths.py` has already made every path regular; here requests are authenticated, decoded, counted and answered.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kit.simulator import ExactJSONResponse, FaultKind, Faults, loads

from . import errors, soap
from .auth import OAuthError, Sessions, token_in
from .org import Org, Session
from .rest import about
from .rest.calls import Call, Reply, refused
from .rest.dispatch import Api
from .rest.queries import Cursors

DAILY_CALLS = 5_000_000  # What a full sandbox is granted.
TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  A path.
SOAP_PATHS = frozenset(f"/services/Soap/u/{version}.0" for version in range(20, 70))
_DATA = "/services/data"


class Web:
    """Everything a client of the org can reach. daily_calls: answered REQUEST_LIMIT_EXCEEDED once spent."""

    def __init__(
        self, org: Org, sessions: Sessions, faults: Faults, *, daily_calls: int = DAILY_CALLS
    ) -> None:
        self._sessions = sessions
        self._faults = faults
        self._daily_calls = daily_calls
        self._calls = 0
        self._api = Api(org, Cursors(), lambda: (self._calls, self._daily_calls))

    def routes(self) -> list[BaseRoute]:
        oauth = "/services/oauth2"
        return [
            Route(TOKEN_PATH, self._token, methods=["POST"]),
            Route(f"{oauth}/introspect", self._introspect, methods=["POST"]),
            Route(f"{oauth}/revoke", self._revoke, methods=["POST"]),
            Route(f"{oauth}/userinfo", self._identity, methods=["GET", "POST"]),
            Route("/id/{org}/{user}", self._identity, methods=["GET"]),
            Route("/.well-known/openid-configuration", self._openid, methods=["GET"]),
            Route("/services/Soap/u/{version}", self._soap, methods=["POST"]),
            Route(_DATA, self._versions, methods=["GET"]),
            Route(
                _DATA + "/{rest:path}", self._call, methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]
            ),
        ]

    # Logging in

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        try:
            granted = self._sessions.grant(form, request.headers.get("authorization", ""), origin_of(request))
        except OAuthError as error:
            return ExactJSONResponse(error.body, status_code=400)
        return ExactJSONResponse(granted, headers={"Cache-Control": "no-store"})

    async def _introspect(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        return ExactJSONResponse(self._sessions.introspect(form.get("token", ""), origin_of(request)))

    async def _revoke(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self._sessions.close(form.get("token", ""))
        return Response(status_code=200)

    async def _identity(self, request: Request) -> Response:
        token = request.query_params.get("oauth_token")
        try:
            session = self._sessions.session(f"Bearer {token}" if token else _authorization(request))
        except errors.SalesforceError:
            return Response("Bad_OAuth_Token", status_code=403, media_type="text/html")
        return ExactJSONResponse(self._sessions.identity(session.user_id, origin_of(request)))

    async def _openid(self, request: Request) -> Response:
        origin = origin_of(request)
        oauth = f"{origin}/services/oauth2"
        endpoints = {
            "issuer": origin,
            "authorization_endpoint": f"{oauth}/authorize",
            "token_endpoint": f"{oauth}/token",
            "revocation_endpoint": f"{oauth}/revoke",
            "userinfo_endpoint": f"{oauth}/userinfo",
            "introspection_endpoint": f"{oauth}/introspect",
            "jwks_uri": f"{origin}/id/keys",
        }
        return ExactJSONResponse(endpoints)

    async def _soap(self, request: Request) -> Response:
        version = str(request.path_params["version"])
        status, envelope = soap.login(self._sessions, await _body(request), version, origin_of(request))
        return Response(envelope, status_code=status, media_type="text/xml")

    # The API

    async def _versions(self, _: Request) -> Response:
        return ExactJSONResponse(about.versions())

    async def _call(self, request: Request) -> Response:
        version, segments = _api_path(request)
        base = f"{_DATA}/v{version}/"
        try:
            session = self._sessions.session(_authorization(request))
            self._spend()
            if not about.known(version):
                raise errors.resource_not_found()
            reply = await self._answer(request, session, version, segments)
        except errors.SalesforceError as error:
            reply = refused(error, base)
        return self._rendered(request, reply)

    async def _answer(
        self, request: Request, session: Session, version: str, segments: tuple[str, ...]
    ) -> Reply:
        call = Call(
            method="GET" if request.method == "HEAD" else request.method,
            version=version,
            segments=segments,
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_parsed(await _body(request)),
            origin=origin_of(request),
        )
        reply = self._api.answer(call, session)
        return self._disturbed(reply, call, request) if _is_poll(call) else reply

    def _disturbed(self, reply: Reply, call: Call, request: Request) -> Reply:
        """A change told twice, or the newest first, where a fault asks for it."""
        body, path = reply.body, str(request.scope["path"])
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(records, list) or not records:
            return reply
        if self._faults.for_feed(FaultKind.DUPLICATE, call.method, path):
            records = [*records, records[-1]]
        if self._faults.for_feed(FaultKind.OUT_OF_ORDER, call.method, path):
            records = records[::-1]
        return Reply(reply.status, {**body, "records": records}, reply.headers)

    def _spend(self) -> None:
        if self._calls >= self._daily_calls:
            raise errors.daily_limit_exceeded()
        self._calls += 1

    def _rendered(self, request: Request, reply: Reply) -> Response:
        headers: Mapping[str, str] = {
            **reply.headers,
            "Sforce-Limit-Info": f"api-usage={self._calls}/{self._daily_calls}",
        }
        if reply.body is None or request.method == "HEAD":
            return Response(status_code=reply.status, headers=headers)
        return ExactJSONResponse(reply.body, status_code=reply.status, headers=headers)


class Replies:
    """The failures that the kit produces, in Salesforce's words."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def throttled(self, request: Request) -> Response:
        return _refusal(errors.concurrent_limit_exceeded())

    def unavailable(self, request: Request) -> Response:
        return _refusal(errors.server_unavailable())

    def expired_token(self, request: Request) -> Response:
        self._sessions.close(token_in(_authorization(request)))
        return _refusal(errors.session_expired())


def _is_poll(call: Call) -> bool:
    """A query for what changed: it names the stamp by which clients poll."""
    return call.segments[:1] in (("query",), ("queryAll",)) and "SystemModstamp" in call.query.get("q", "")


def _refusal(error: errors.SalesforceError) -> Response:
    return ExactJSONResponse(error.body(), status_code=error.status)


def origin_of(request: Request) -> str:
    """Scheme, host and port as the caller sees them: clients follow the URLs built from it."""
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")


def _api_path(request: Request) -> tuple[str, tuple[str, ...]]:
    """Version and decoded segments. Read from the raw path, so that a key may hold an encoded slash."""
    raw: bytes = request.scope["raw_path"]
    version, *rest = raw.decode("latin-1").partition("?")[0].removeprefix(_DATA + "/").split("/")
    return version.lower().removeprefix("v"), tuple(unquote(each) for each in rest if each)


async def _body(request: Request) -> bytes:
    body = await request.body()
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError):
        raise errors.json_parser_error("the body is not gzip") from None


def _parsed(body: bytes) -> object:
    try:
        return loads(body) if body.strip() else None
    except ValueError as error:
        raise errors.json_parser_error(f"Unexpected character: {error}") from None
