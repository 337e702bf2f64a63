"""Bodies that must not pass: each is refused with a reason and a place, and nothing reaches the service."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.contract.test_gateway.mesh import AN_ORDER, Mesh

ORDER = json.dumps(AN_ORDER).encode()


def with_member(text: bytes) -> bytes:
    """The order with one member more."""
    return ORDER[:-1] + b"," + text + b"}"


def check(mesh: Mesh, answer: httpx.Response, status: int, code: str, pointer: str | None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["correlationId"] == answer.headers["x-correlation-id"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert not mesh.order.seen


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        pytest.param(b"", "MALFORMED_BODY", "#", id="empty"),
        pytest.param(b"{", "MALFORMED_BODY", "#", id="cut off"),
        pytest.param(b"[]", "INVALID_FIELD", "#", id="a list"),
        pytest.param(b"null", "INVALID_FIELD", "#", id="null"),
        pytest.param(ORDER + b" {}", "MALFORMED_BODY", "#", id="two values"),
        pytest.param(b"\xef\xbb\xbf" + ORDER, "MALFORMED_BODY", "#", id="byte order mark"),
        pytest.param(ORDER.decode().encode("utf-16"), "MALFORMED_BODY", "#", id="UTF-16"),
        pytest.param(with_member(b'"memo":"\xff"'), "MALFORMED_BODY", "#", id="not UTF-8"),
        pytest.param(with_member(b'"memo":"a\nb"'), "MALFORMED_BODY", "#", id="raw line feed"),
        pytest.param(with_member(b'"memo":NaN'), "MALFORMED_BODY", "#", id="NaN"),
        pytest.param(with_member(b'"memo":Infinity'), "MALFORMED_BODY", "#", id="Infinity"),
        pytest.param(with_member(b'"colour":"red"'), "MALFORMED_BODY", "#/colour", id="unknown field"),
        pytest.param(
            with_member(b'"currencyCode":"EUR"'), "MALFORMED_BODY", "#/currencyCode", id="same twice"
        ),
        pytest.param(
            with_member(b'"currency_code":"EUR"'), "MALFORMED_BODY", "#/currency_code", id="both spellings"
        ),
        pytest.param(
            b'{"soldTo":{"customerId":"c","external":{"system":"s","externalId":"1"}}}',
            "MALFORMED_BODY",
            "#/soldTo/external",
            id="two of a choice",
        ),
        pytest.param(
            b'{"lines":[{"sku":"a"},{"sku":"b","skuu":"c"}]}', "MALFORMED_BODY", "#/lines/1/skuu", id="deep"
        ),
        pytest.param(
            b'{"lines":[{"sku":"a","sku":"\\u003a"}]}',
            "MALFORMED_BODY",
            "#/lines/0/sku",
            id="twice, hidden by an escape",
        ),
        pytest.param(with_member(b'"memo":7'), "INVALID_FIELD", "#/memo", id="number for text"),
        pytest.param(with_member(b'"total":"12"'), "INVALID_FIELD", "#/total", id="text for an object"),
        pytest.param(with_member(b'"total":{"units":"1_0"}'), "INVALID_FIELD", "#/total/units", id="1_0"),
        pytest.param(with_member(b'"total":{"units":1e400}'), "INVALID_FIELD", "#/total/units", id="1e400"),
        pytest.param(
            with_member(b'"total":{"nanos":1.5}'), "INVALID_FIELD", "#/total/nanos", id="half a nano"
        ),
        pytest.param(
            with_member(b'"total":{"units":' + b"9" * 5000 + b"}"),
            "INVALID_FIELD",
            "#/total/units",
            id="5,000 digits",
        ),
        pytest.param(
            with_member(b'"shipTo":{"lines":[null]}'), "INVALID_FIELD", "#/shipTo/lines/0", id="null in list"
        ),
        pytest.param(with_member(b'"state":"LOST"'), "INVALID_FIELD", "#/state", id="unknown value"),
        pytest.param(with_member(b'"createTime":"noon"'), "INVALID_FIELD", "#/createTime", id="no time"),
        pytest.param(with_member(b'"memo":"a\\u0000b"'), "INVALID_FIELD", "#/memo", id="NUL"),
        pytest.param(with_member(b'"memo":"\\ud800"'), "MALFORMED_BODY", "#/memo", id="half a character"),
        pytest.param(with_member(b'"memo":"' + b"m" * 1000 + b'"'), "INVALID_FIELD", "#/memo", id="too long"),
    ],
)
async def test_body_is_refused(mesh: Mesh, body: bytes, code: str, pointer: str) -> None:
    check(mesh, await mesh.send(body), 400, code, pointer)


async def test_every_broken_rule_is_named_at_once(mesh: Mesh) -> None:
    answer = await mesh.submit({"lines": [{"quantity": {"value": "1"}}]})
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert {"#/soldTo", "#/currencyCode", "#/lines/0/sku", "#/lines/0/unitPrice"} <= pointers
    assert not mesh.order.seen


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"lines":' + b"[" * 100 + b"]" * 100 + b"}", id="100 lists"),
        pytest.param(b'{"lines":' + b"[" * 200_000, id="200,000 lists, open"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, id="65 objects"),
        pytest.param(b'{"lines":[{"a":"]"},' + b"[" * 100 + b"]" * 100 + b"]}", id="brackets in strings"),
    ],
)
async def test_deep_body_is_refused_before_it_is_parsed(mesh: Mesh, body: bytes) -> None:
    check(mesh, await mesh.send(body), 413, "BODY_TOO_LARGE", None)


async def test_body_with_too_many_keys_is_refused(mesh: Mesh) -> None:
    body = b"{" + b",".join(b'"k%d":1' % number for number in range(50_001)) + b"}"
    check(mesh, await mesh.send(body), 413, "BODY_TOO_LARGE", None)


async def test_body_over_the_limit_is_refused_by_its_stated_length(mesh: Mesh) -> None:
    check(mesh, await mesh.send(b" " * (1024 * 1024 + 1)), 413, "BODY_TOO_LARGE", None)


async def test_chunked_body_over_the_limit_is_refused(mesh: Mesh) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = await mesh.http.post(
        "/v1/orders",
        content=chunks(),
        headers={**mesh.bearer(), "Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    check(mesh, answer, 413, "BODY_TOO_LARGE", None)


async def test_chunked_body_within_the_limit_passes(mesh: Mesh) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(ORDER), 7):
            yield ORDER[start : start + 7]

    answer = await mesh.http.post(
        "/v1/orders",
        content=chunks(),
        headers={**mesh.bearer(), "Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    assert answer.status_code == 202


@pytest.mark.parametrize("length", ["7", "999", "-1", "many"])
async def test_lying_content_length_is_refused(mesh: Mesh, length: str) -> None:
    check(mesh, await mesh.send(ORDER, Content_Length=length), 400, "MALFORMED_BODY", None)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data", ""],
)
async def test_other_content_type_is_refused(mesh: Mesh, content_type: str) -> None:
    answer = await mesh.send(ORDER, Content_Type=content_type)
    check(mesh, answer, 415, "UNSUPPORTED_MEDIA_TYPE", None)
    assert answer.headers["accept"] == "application/json"


async def test_json_in_utf_8_is_taken_however_it_is_stated(mesh: Mesh) -> None:
    answer = await mesh.send(ORDER, Content_Type='Application/JSON ; charset="UTF-8"')
    assert answer.status_code == 202


async def test_compressed_body_is_refused(mesh: Mesh) -> None:
    answer = await mesh.send(ORDER, Content_Encoding="gzip")
    check(mesh, answer, 415, "UNSUPPORTED_MEDIA_TYPE", None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(with_member(b'"memo":null'), id="null counts as absent"),
        pytest.param(with_member(b'"memo":""'), id="empty text"),
        pytest.param(with_member(b'"memo":"at 10:30, [sic] {\\"x\\": 1}"'), id="punctuation in text"),
        pytest.param(with_member(b'"memo":"\\u00e9\\ud83d\\ude00\\u003a"'), id="escapes"),
        pytest.param(with_member('"memo":"Café 你好"'.encode()), id="any script"),
        pytest.param(ORDER.replace(b"currencyCode", b"currency_code"), id="contract spelling"),
        pytest.param(ORDER.replace(b'"units": "2"', b'"units": 2'), id="a number where text is usual"),
        pytest.param(b"\n\t " + ORDER + b"\r\n", id="white space"),
    ],
)
async def test_unusual_but_valid_body_passes(mesh: Mesh, body: bytes) -> None:
    answer = await mesh.send(body)
    assert answer.status_code == 202, answer.text
