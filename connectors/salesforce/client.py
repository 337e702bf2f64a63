"""Salesforce's REST API, as far as we speak it: log in, query, and several writes in one atomic call.

Open this file to change how a call is put on the wire. What an answer means stands in `errors.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlencode

from ordermesh.connector.v1 import change_pb2

from connectors.kit.exact_json import JsonObject, dumps, loads
from connectors.kit.http import Answer, Budget, Call, HttpLimits, VendorHttp
from connectors.kit.tokens import Token
from connectors.salesforce.errors import (
    Fault,
    Situation,
    error_of,
    error_of_answer,
    faults_in,
    retry_after_of,
    root_cause,
)
from libs.common.clock import Clock
from libs.common.config import read_secret
from libs.common.errors import NotDone, OutcomeUnknown

CLIENT_NAME = "ordermesh"
"""Shows up as the origin of our changes."""
TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  A path.
SUBREQUESTS_MAX = 25
_TOKEN_USED_FOR = timedelta(hours=24)
"""Salesforce states no lifetime, and every call prolongs it: a 401 is what tells that a session is dead."""
_SLOW_DOWN = frozenset({"SYSTEM_THROTTLED", "SYSTEM_QUOTA_SPENT"})
QUOTA_LOOK_EVERY = timedelta(minutes=1)
"""Nobody calls for so long once the day's calls are spent: one call is enough to learn that there are some again."""
_INCURABLE = (b"not valid for use with the REST API", b"Connected app is not attached")
"""Words in a 401 that no new token changes."""


@dataclass(frozen=True, slots=True)
class Sub:
    """One request inside a composite call; `path` is what follows the version, already quoted."""

    reference: str
    method: str
    path: str
    body: object = None

    @property
    def effect(self) -> bool:
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class SubAnswer:
    """What became of one of them."""

    status: int
    body: object

    @property
    def done(self) -> bool:
        """Whether it and, in a collection, every record of it succeeded."""
        return self.status < 300 and not list(_collection_faults(self.body))

    @property
    def faults(self) -> list[Fault]:
        if self.status < 300:
            return list(_collection_faults(self.body))
        if self.status == 300:
            return [Fault("DUPLICATE_EXTERNAL_ID", "the key finds several records")]
        return list(faults_in(self.body))

    def record(self) -> JsonObject:
        return cast(JsonObject, self.body) if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class CompositeAnswer:
    """Answers by reference, and what went over the wire."""

    answers: Mapping[str, SubAnswer]
    exchange: change_pb2.Exchange
    retry_after: timedelta | None = None

    @property
    def done(self) -> bool:
        return all(answer.done for answer in self.answers.values())

    def cause(self) -> tuple[int, Fault]:
        """Status and fault of the request that failed first, consequences aside."""
        failed = [answer for answer in self.answers.values() if not answer.done]
        fault = root_cause(fault for answer in failed for fault in answer.faults)
        status = next((answer.status for answer in failed if fault in answer.faults), 400)
        return status, fault

    def raise_cause(self, paths: Mapping[str, str]) -> None:
        """Raises our error for what went wrong. The call was all or nothing, so nothing of it was kept."""
        status, fault = self.cause()
        raise error_of(fault, Situation(status, effect=True, retry_after=self.retry_after, paths=paths))


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and the server's time when it answered."""

    records: Sequence[JsonObject]
    server_time: datetime


class Client:
    """One org."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret_file: Path,
        *,
        version: str,
        clock: Clock,
        limits: HttpLimits | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.user_id = ""
        """Who we are in the org, known from the first token on."""
        self._client_id = client_id
        self._client_secret_file = client_secret_file
        self._clock = clock
        self._base = f"/services/data/v{version}"
        self._http = VendorHttp(
            base_url, self._fetch_token, limits=limits, budget=budget, clock=clock, expired=session_is_dead
        )

    async def _fetch_token(self, http: VendorHttp) -> Token:
        """Client credentials. Never repeated here: a series of bad logins locks the user."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": read_secret(self._client_secret_file),
        }
        call = Call(
            "POST",
            TOKEN_PATH,
            effect=False,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        answer = await http.send_plain(call)
        if answer.status != 200:
            raise error_of_answer(answer)
        granted = _object(answer)
        self.user_id = str(granted.get("id", "")).rpartition("/")[2]
        return Token(str(granted.get("access_token", "")), self._clock.now() + _TOKEN_USED_FOR)

    async def composite(self, subs: Sequence[Sub]) -> CompositeAnswer:
        """Runs them in this order, all or nothing. One API call, however many there are (at most 25)."""
        assert len(subs) <= SUBREQUESTS_MAX, "the caller splits"
        wanted = [
            {
                "method": sub.method,
                "url": f"{self._base}/{sub.path}",
                "referenceId": sub.reference,
                **({} if sub.body is None else {"body": sub.body}),
            }
            for sub in subs
        ]
        body = {"allOrNone": True, "collateSubrequests": False, "compositeRequest": wanted}
        answer = await self._send("POST", "composite", effect=any(sub.effect for sub in subs), body=body)
        parts = _object(answer).get("compositeResponse")
        if not isinstance(parts, list) or len(parts) != len(subs):
            raise _unreadable(answer)
        answers = {
            str(part.get("referenceId")): SubAnswer(int(part.get("httpStatusCode", 0)), part.get("body"))
            for part in parts
        }
        return CompositeAnswer(answers, answer.exchange, retry_after_of(answer))

    async def query(self, soql: str, *, deleted_too: bool = False) -> Found:
        """One page of a query; ask with a LIMIT of at most 2,000."""
        path = "queryAll" if deleted_too else "query"
        answer = await self._send("GET", path, effect=False, params={"q": soql})
        records = _object(answer).get("records")
        if not isinstance(records, list):
            raise _unreadable(answer)
        return Found(records, _server_time(answer) or self._clock.now())

    async def close(self) -> None:
        await self._http.close()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        effect: bool,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """An answer of status 200; anything else is raised as our error."""
        headers = {"Sforce-Call-Options": f"client={CLIENT_NAME}", "Accept": "application/json"}
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = dumps(body)
        call = Call(method, f"{self._base}/{path}", effect, params or {}, headers, content)
        answer = await self._http.send(call)
        if answer.status != 200:
            error = error_of_answer(answer)
            if error.reason in _SLOW_DOWN:
                least = QUOTA_LOOK_EVERY if error.reason == "SYSTEM_QUOTA_SPENT" else timedelta(0)
                await self._http.pause(max(error.retry_after or least, least))
            raise error
        return answer


def session_is_dead(answer: Answer) -> bool:
    """Whether a new token can help. A limit (403) is no dead session, and some 401s are incurable."""
    return answer.status == 401 and not any(words in answer.content for words in _INCURABLE)


def record_path(sobject: str, record_id: str) -> str:
    return f"sobjects/{sobject}/{quote(record_id, safe='')}"


def key_path(sobject: str, key_field: str, key: str) -> str:
    return f"sobjects/{sobject}/{key_field}/{quote(key, safe='')}"


def quoted(text: str) -> str:
    """A text as a SOQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _collection_faults(body: object) -> Iterator[Fault]:
    """Faults of single records in the answer of a collection, which is 200 all the same."""
    for item in body if isinstance(body, list) else ():
        if isinstance(item, dict) and item.get("success") is False:
            yield from faults_in(item.get("errors"))


def _object(answer: Answer) -> JsonObject:
    try:
        body = loads(answer.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _unreadable(answer)
    return body


def _unreadable(answer: Answer) -> OutcomeUnknown | NotDone:
    detail = f"Salesforce answered {answer.status} with a body that cannot be read"
    if answer.call.effect:
        return OutcomeUnknown("OUTCOME_UNKNOWN", detail)
    return NotDone("SYSTEM_UNAVAILABLE", detail)


def _server_time(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except (ValueError, TypeError):
        return None
