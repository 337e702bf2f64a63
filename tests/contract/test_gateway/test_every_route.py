"""What holds on every route: HEAD, OPTIONS and the refusals that HTTP has words for, each of them a problem."""

import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.rules import public_rules
from tests.contract.test_gateway.mesh import Mesh

VARIABLE = re.compile(r"\{[a-z_.]+(?:=([a-z]+)/\*)?\}")
OWN = {"/v1/systems": {"GET"}, "/v1/systems/netsuite/inbound": {"POST"}, "/v1/ownership": {"GET"}}
OPEN = ("/", "/health/live", "/health/ready", "/problems/", "/openapi.json", "/openapi-3.0.json", "/docs")
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")


def routes() -> dict[str, set[str]]:
    """Every path with ids that stand for records, and its verbs."""
    found = {path: set(verbs) for path, verbs in OWN.items()}
    for rule in public_rules():
        path = VARIABLE.sub(lambda v: f"{v[1]}/order.1" if v[1] else "order.1", rule.template)
        found.setdefault(path, set()).add(rule.verb)
    return found | {path: {"GET"} for path in OPEN}


def paths(verb: str) -> Iterator[str]:
    return (path for path, verbs in routes().items() if verb in verbs)


def guarded() -> Iterator[tuple[str, str]]:
    """Path and verb of everything that wants a caller."""
    return ((path, verb) for path, verbs in routes().items() if path not in OPEN for verb in verbs)


def allowed(path: str) -> str:
    verbs = routes()[path] | {"OPTIONS"}
    return ", ".join(sorted(verbs | {"HEAD"} if "GET" in verbs else verbs))


def is_problem(answer: httpx.Response, status: int) -> bool:
    """A refusal as it must look."""
    return (
        answer.status_code == status
        and answer.headers["content-type"] == "application/problem+json"
        and answer.json()["status"] == status
        and answer.json()["correlationId"] == answer.headers["x-correlation-id"]
        and answer.headers["cache-control"] == "no-store"
    )


async def test_options_and_other_verbs_tell_which_verbs_there_are(mesh: Mesh) -> None:
    for path, verbs in routes().items():
        asked = await mesh.http.options(path)
        assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allowed(path), b""), path
        for verb in set(VERBS) - verbs:
            answer = await mesh.http.request(verb, path, headers=mesh.bearer("admin"))
            assert is_problem(answer, 405), (verb, path, answer.text)
            assert answer.headers["allow"] == allowed(path), (verb, path)


async def test_head_says_what_get_would_and_nothing_else(mesh: Mesh) -> None:
    for path in paths("GET"):
        got, told = [
            await mesh.http.request(verb, path, headers=mesh.bearer("admin")) for verb in ("GET", "HEAD")
        ]
        assert (told.status_code, told.content) == (got.status_code, b""), path
        assert told.headers["content-type"] == got.headers["content-type"], path
        assert told.headers.get("content-length") == got.headers.get("content-length"), path


async def test_caller_that_takes_no_json_is_refused_on_every_route(mesh: Mesh) -> None:
    for path, verb in guarded():
        headers = {**mesh.bearer("admin"), "Accept": "text/html", "Idempotency-Key": "k"}
        answer = await mesh.http.request(verb, path, headers=headers)
        assert is_problem(answer, 406), (verb, path, answer.text)


async def test_body_that_is_no_json_is_refused_on_every_route(mesh: Mesh) -> None:
    for path, verb in guarded():
        if verb == "GET" or path.endswith("/inbound"):
            continue
        headers = {"Content-Type": "application/xml", "Idempotency-Key": "k", "If-Match": "*"}
        answer = await mesh.http.request(
            verb, path, content=b"<order/>", headers={**mesh.bearer("admin"), **headers}
        )
        assert is_problem(answer, 415), (verb, path, answer.text)


async def test_no_route_answers_a_stranger(mesh: Mesh) -> None:
    for path, verb in guarded():
        assert is_problem(await mesh.http.request(verb, path), 401), (verb, path)
    assert not any(backend.seen for backend in mesh.backends.values())


@pytest.mark.parametrize("path", ["/v1/orders", "/health/live", "/nowhere"])
async def test_expectation_that_cannot_be_met_is_refused(mesh: Mesh, path: str) -> None:
    answer = await mesh.http.get(path, headers={**mesh.bearer(), "Expect": "the-unexpected"})
    assert is_problem(answer, 417), answer.text
