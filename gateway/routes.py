"""From a path to what answers it. Open this file to learn how google.api.http templates are read.

/v1/orders/{order_id}:hold          a variable is one segment without colon, a verb follows the last colon
/v1/{subject=orders/*}/lineage      a variable may span segments
/v1/customers/{customer.customer_id}   a variable may name a field of a field
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.exchange import Answer, AtTheEdge
from gateway.problems import NOWHERE, Place
from libs.common.rpc.contract import ORDINARY
from libs.common.value import value

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([^{}]+))?\}")
_SEGMENT = r"[^/:\x00-\x1f\x7f]+"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A path with variables."""

    text: str
    pattern: re.Pattern[str]
    variables: tuple[str, ...]
    """Field paths, in order of the pattern's groups."""

    @classmethod
    def parse(cls, text: str) -> "Template":
        pattern, variables, position = "", [], 0
        for match in _VARIABLE.finditer(text):
            pattern += re.escape(text[position : match.start()]) + "(" + _inner(match[2] or "*") + ")"
            variables.append(match[1])
            position = match.end()
        assert "{" not in text[position:], f"the template {text} cannot be read"
        return cls(text, re.compile(pattern + re.escape(text[position:])), tuple(variables))


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One verb on one template, and what answers it."""

    verb: str
    template: Template
    answer: Answer
    roles: frozenset[str]
    """Who may call it."""
    place: Place = NOWHERE
    """Where the field paths of its errors lie."""
    lane: str = ORDINARY
    """Which requests it shares a bound with."""


@value()
class Found:
    """A route and the values of its variables."""

    route: Route
    variables: Mapping[str, str]


class RouteTable:
    """All routes that want a caller; a path without variables costs one look-up, another one a few patterns."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        for route in self.routes:
            verbs = self._verbs_of(route.template)
            assert route.verb not in verbs, f"{route.verb} {route.template.text} is declared twice"
            verbs[route.verb] = route

    def find(self, verb: str, path: str) -> Found | None:
        """None for an unknown path. Raises METHOD_NOT_ALLOWED where the path exists and the verb does not."""
        verbs, values = self._match(path)
        if not verbs:
            return None
        route = verbs.get(verb)
        if route is None:
            raise method_not_allowed(verb, verbs)
        return Found(route, dict(zip(route.template.variables, values, strict=True)) if values else {})

    def verbs(self, path: str) -> tuple[str, ...]:
        """Verbs of a path, empty for an unknown one."""
        return tuple(self._match(path)[0])

    def _match(self, path: str) -> tuple[Mapping[str, Route], tuple[str, ...]]:
        plain = self._plain.get(path)
        if plain is not None:
            return plain, ()
        for pattern, verbs in self._patterns.get(_head(path), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return verbs, match.groups()
        return {}, ()

    def _verbs_of(self, template: Template) -> dict[str, Route]:
        if not template.variables:
            return self._plain.setdefault(template.text, {})
        patterns = self._patterns.setdefault(_head_of_template(template), [])
        for known, verbs in patterns:
            if known == template.pattern:
                return verbs
        verbs = {}
        patterns.append((template.pattern, verbs))
        return verbs


def allow_header(verbs: Iterable[str]) -> str:
    """`GET, HEAD, OPTIONS, POST`."""
    allowed = {"OPTIONS", *verbs}
    return ", ".join(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))


def method_not_allowed(verb: str, verbs: Iterable[str]) -> AtTheEdge:
    allowed = allow_header(verbs)
    return AtTheEdge(405, "METHOD_NOT_ALLOWED", f"{verb} is not among {allowed}", headers={"Allow": allowed})


def _head(path: str) -> str:
    """First two segments, which tell most templates apart."""
    parts = path.split("/", 3)
    return "/".join(parts[:3])


def _head_of_template(template: Template) -> str:
    head = _head(_VARIABLE.sub(lambda match: match[2] or "*", template.text))
    assert "*" not in head, f"{template.text} must not begin with a variable"
    return head


def _inner(inside: str) -> str:
    return "/".join(_SEGMENT if segment == "*" else re.escape(segment) for segment in inside.split("/"))
