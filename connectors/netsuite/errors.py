"""What NetSuite's refusals mean. Open this file when an answer was sorted wrongly: `RULES` is the one table.

HTTP status and code are not enough: most refusals of a save share 400 USER_ERROR, and even a missing permission can
look like that. So rules look at status, code, words and the path of the field, and the first that fits wins.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.kit.exact_json import loads_object
from connectors.kit.http import Answer
from connectors.kit.pauses import retry_after
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation

VERDICT_LENGTH_MAX = 300
_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_PERSONAL_VALUE = re.compile(
    r"(Invalid Field Value ).*?( for the following field: (?:e-?mail|phone|fax|addr\w*))", re.IGNORECASE
)

ToField = Callable[[str], str]
"""NetSuite's path of a field (`item.items[0].taxCode`) to the path in our request (`order.lines[0].tax_code`)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an answer says, read from its body as far as it can be read."""

    status: int
    code: str = ""
    detail: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Fits when all that is set fits. words and path are regular expressions, searched for in any case."""

    reason: str
    outcome: type[OrdermeshError]
    status: frozenset[int] = frozenset()
    code: str = ""
    words: str = ""
    path: str = ""

    def fits(self, problem: Problem) -> bool:
        return (
            (not self.status or problem.status in self.status)
            and self.code in ("", problem.code)
            and re.search(self.words, problem.detail, re.IGNORECASE) is not None
            and re.search(self.path, problem.path, re.IGNORECASE) is not None
        )


def _at(*status: int) -> frozenset[int]:
    return frozenset(status)


_SERVER = _at(*range(500, 600))

RULES: tuple[Rule, ...] = (
    # Throttling: 429 by its status alone, for Oracle's own sample of the body is broken; RESTlets say it with 400
    Rule("SYSTEM_THROTTLED", NotDone, _at(429)),
    Rule("SYSTEM_THROTTLED", NotDone, code="CONCURRENCY_LIMIT_EXCEEDED"),
    Rule("SYSTEM_THROTTLED", NotDone, code="SSS_REQUEST_LIMIT_EXCEEDED"),
    # Login and rights; a 401 that is left after a fresh token is a matter of configuration
    Rule("SYSTEM_CREDENTIALS", NotDone, _at(401)),
    Rule("SYSTEM_PERMISSION", Refused, _at(403)),
    Rule("SYSTEM_PERMISSION", Refused, code="INSUFFICIENT_PERMISSION"),
    Rule("SYSTEM_PERMISSION", Refused, _at(400), words="do(es)? not have permission"),
    # Somebody else was faster; nothing was saved
    Rule("RECORD_LOCKED", NotDone, _at(400), code="RCRD_HAS_BEEN_CHANGED"),
    Rule("RECORD_LOCKED", NotDone, _at(400, 409), words="record has been changed"),
    Rule("RECORD_LOCKED", NotDone, _at(400), words="This record already exists"),
    # Bugs of ours, or of the mapping
    Rule("MAPPING_FAILED", Refused, _at(400), words="Unknown property name|Search error occurred"),
    Rule("MAPPING_FAILED", Refused, _at(400), code="INVALID_REQUEST"),
    Rule("MAPPING_FAILED", Refused, _at(400), code="INVALID_HEADER"),
    Rule("MAPPING_FAILED", Refused, _at(400), code="INVALID_PARAMETER"),
    Rule("MAPPING_FAILED", Refused, _at(405, 415)),
    # The business says no, and where
    Rule("CREDIT_LIMIT_EXCEEDED", Refused, _at(400), words="credit (limit|hold)"),
    Rule("STATE_FORBIDS", Refused, _at(400), words="been fulfilled or billed|dependent records"),
    Rule("DUPLICATE_CANDIDATE", Refused, _at(400), words="This entity already exists"),
    Rule("TAX_CODE_UNKNOWN", Refused, _at(400), path=r"taxcode$"),
    Rule("PRODUCT_UNKNOWN", Refused, _at(400), path=r"item\.items\[\d+\]\.item$"),
    Rule("UNIT_UNKNOWN", Refused, _at(400), path=r"item\.items\[\d+\]\.units$"),
    Rule("QUANTITY_INVALID", Refused, _at(400), path=r"item\.items\[\d+\]\.quantity$"),
    Rule("PRICE_INVALID", Refused, _at(400), path=r"item\.items\[\d+\]\.(rate|amount)$"),
    Rule("CUSTOMER_UNKNOWN", Refused, _at(400), path=r"^(entity|customer)$"),
    Rule(
        "REFERENCE_UNKNOWN",
        Refused,
        _at(400),
        words="Invalid Field Value .* following field: (item|customer|entity)",
    ),
    Rule("ERP_REFUSED", Refused, _at(400)),
    Rule("REFERENCE_UNKNOWN", Refused, _at(404, 410)),
    # The request arrived and what became of it is not known
    Rule("OUTCOME_UNKNOWN", OutcomeUnknown, _SERVER),
    Rule("OUTCOME_UNKNOWN", OutcomeUnknown, _at(408)),
)


def error_of(answer: Answer, to_field: ToField = lambda path: path) -> OrdermeshError:
    """What an answer other than success means. A read that failed is NotDone whatever the server did."""
    problem = read_problem(answer)
    rule = next((rule for rule in RULES if rule.fits(problem)), None)
    verdict = verdict_of(problem)
    if rule is None:
        return _unknown_answer(answer, verdict)
    if rule.outcome is OutcomeUnknown and not answer.call.effect:
        return NotDone("SYSTEM_UNAVAILABLE", f"NetSuite answered {problem.status}", verdict=verdict)
    violations = []
    if rule.outcome is Refused and problem.path:
        violations = [Violation(to_field(problem.path), f"NetSuite refused {problem.path}", rule.reason)]
    return rule.outcome(
        rule.reason,
        violations=violations,
        retry_after=retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date")),
        verdict=verdict,
    )


def error_of_token(answer: Answer) -> OrdermeshError:
    """The token endpoint speaks OAuth, not NetSuite; nothing was written either way."""
    if answer.status == 429 or answer.status >= 500:
        return error_of(answer)
    return NotDone(
        "SYSTEM_CREDENTIALS", "NetSuite gives us no token", verdict=f"{answer.status} {_oauth_code(answer)}"
    )


def read_problem(answer: Answer) -> Problem:
    """The first error detail; of a body in another shape only the status."""
    try:
        body = loads_object(answer.content)
    except ValueError:
        return Problem(answer.status)
    details = body.get("o:errorDetails")
    if isinstance(details, list) and details and isinstance(details[0], dict):
        first = details[0]
        return Problem(
            answer.status, _text(first, "o:errorCode"), _text(first, "detail"), _text(first, "o:errorPath")
        )
    restlet = body.get("error")
    if isinstance(restlet, dict):
        return Problem(answer.status, _text(restlet, "code"), _text(restlet, "message"))
    return Problem(answer.status)


def verdict_of(problem: Problem) -> str:
    """NetSuite's words, short, without the values of personal fields."""
    words = _EMAIL.sub("…@…", _PERSONAL_VALUE.sub(r"\1…\2", problem.detail))
    return " ".join(f"{problem.status} {problem.code} {words}".split())[:VERDICT_LENGTH_MAX]


def _unknown_answer(answer: Answer, verdict: str) -> OrdermeshError:
    """A status outside the table, a redirect for example: of a write nothing is known."""
    detail = f"NetSuite answered {answer.status}"
    if answer.call.effect:
        return OutcomeUnknown("OUTCOME_UNKNOWN", detail, verdict=verdict)
    return NotDone("SYSTEM_UNAVAILABLE", detail, verdict=verdict)


def _oauth_code(answer: Answer) -> str:
    try:
        return _text(loads_object(answer.content), "error")
    except ValueError:
        return ""


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
