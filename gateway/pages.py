"""Pages that are open to everybody: health, documents, explanations. Open this file to add one.

/                       what is here
/health/live            the process runs
/health/ready           it and everything behind it serves, and it is not about to stop
/problems/{code}        what a problem means and who can make it go away
/openapi.json           OpenAPI 3.1
/openapi-3.0.json       the same in 3.0.3, for importers that know no more
/docs                   the same for people
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Lifespan, Receive, Scope, Send

from gateway import reference
from gateway.edge import Edge
from gateway.health import Readiness
from gateway.lanes import Load
from gateway.problems import PROBLEMS_PATH, problem_type
from libs.common.errors import POLICIES, Refused

INDEX: Mapping[str, str] = {
    "reference": reference.PATH,
    "openapi": "/openapi.json",
    "openapi30": "/openapi-3.0.json",
    "live": "/health/live",
    "ready": "/health/ready",
    "problems": PROBLEMS_PATH,
    "systems": "/v1/systems",
    "ownership": "/v1/ownership",
}


def pages(
    readiness: Readiness, load: Load, documents: Callable[[], Mapping[str, bytes]], lifespan: Lifespan[Edge]
) -> Router:
    """documents: OpenAPI documents as JSON, by path."""

    async def index(_request: Request) -> Response:
        return JSONResponse(INDEX)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_request: Request) -> Response:
        if load.draining:
            return JSONResponse({"status": "draining"}, 503)
        standing = await readiness.look()
        status = "ready" if standing.all_serve else "not ready"
        told = {"status": status, "services": standing.services, "systems": standing.systems}
        return JSONResponse(told, 200 if standing.all_serve else 503)

    async def document(request: Request) -> Response:
        return Response(documents()[request.url.path], media_type="application/json")

    routes: list[BaseRoute] = [
        Route("/", index),
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route(PROBLEMS_PATH, _reasons),
        Route(PROBLEMS_PATH + "{code}", _reason),
        Route("/openapi.json", document),
        Route("/openapi-3.0.json", document),
        *reference.reference_routes(),
    ]
    return Router(routes, redirect_slashes=False, default=_unknown, lifespan=lifespan)


async def _reasons(_request: Request) -> Response:
    return JSONResponse({"problems": [problem_type(reason) for reason in sorted(POLICIES)]})


async def _reason(request: Request) -> Response:
    """Short enough to be read where a problem is read."""
    policy = POLICIES.get(request.path_params["code"].upper().replace("-", "_"))
    if policy is None or request.path_params["code"] != policy.reason.lower().replace("_", "-"):
        raise Refused("ROUTE_UNKNOWN")
    return JSONResponse(
        {
            "type": problem_type(policy.reason),
            "code": policy.reason,
            "title": policy.title,
            "status": policy.http_status,
            "retryable": policy.retryable,
            "failureClass": policy.failure_class,
            "owner": policy.owner,
        }
    )


async def _unknown(_scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
    raise Refused("ROUTE_UNKNOWN")
