"""The record service, `/services/rest/record/v1`; open it for a method, a header or a query parameter.

What a save means is the business of the record's own module; here a request becomes one change of the store.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kit.simulator import Change, Document, DuplicateKey, ExactJSONResponse, JsonObject
from connectors.netsuite.simulator import (
    customers,
    fulfilments,
    invoices,
    items,
    payments,
    sales_orders,
)
from connectors.netsuite.simulator.account import Account, stored_kind
from connectors.netsuite.simulator.endpoints import Authenticate, base_url, endpoint, json_body, page, paging
from connectors.netsuite.simulator.errors import NetSuiteError, business, not_found, unknown_resource
from connectors.netsuite.simulator.record_types import RECORD_TYPES, RecordType
from connectors.netsuite.simulator.rendering import RECORD_PATH, Printer
from connectors.netsuite.simulator.schema import Reader, check_names

DELETED = "_deleted"
"""Inner documents, one per deleted record: SuiteQL's table `deletedrecord`."""

_WARNINGS_HEADER = "X-NetSuite-Warnings"  # the real name is not documented
_EXTERNAL = "eid:"

Create = Callable[[Account, Change, JsonObject, str | None], Document]
Update = Callable[[Account, Change, Document, JsonObject, frozenset[str]], None]
Remove = Callable[[Account, Change, Document], None]
Transform = Callable[[Account, Change, Document, JsonObject, str | None], Document]


@dataclass(frozen=True, slots=True)
class Rules:
    """How records of one type are saved."""

    create: Create
    update: Update
    remove: Remove


RULES: Mapping[str, Rules] = {
    "customer": Rules(customers.create, customers.update, customers.remove),
    "inventoryItem": Rules(items.creator("inventoryItem", "InvtPart"), items.update, items.remove),
    "nonInventorySaleItem": Rules(
        items.creator("nonInventorySaleItem", "NonInvtPart"), items.update, items.remove
    ),
    "salesOrder": Rules(sales_orders.create, sales_orders.update, sales_orders.remove),
    "itemFulfillment": Rules(fulfilments.refuse_create, fulfilments.update, fulfilments.remove),
    "invoice": Rules(invoices.create, invoices.update, invoices.remove),
    "customerPayment": Rules(payments.create, payments.update, payments.remove),
}
TRANSFORMS: Mapping[tuple[str, str], Transform] = {
    ("salesOrder", "itemFulfillment"): fulfilments.transform,
    ("salesOrder", "invoice"): invoices.transform,
}


class RecordService:
    """The endpoints over one account."""

    def __init__(self, account: Account, authenticate: Authenticate) -> None:
        self._account = account
        self._authenticate = authenticate

    def routes(self) -> list[BaseRoute]:
        one = RECORD_PATH + "{type}/{id}"
        table = (
            (RECORD_PATH + "metadata-catalog", {"GET": self.catalog}),
            (RECORD_PATH + "{type}", {"POST": self.create, "GET": self.list}),
            (
                one,
                {"GET": self.read, "PUT": self.upsert, "PATCH": self.change, "DELETE": self.delete},
            ),
            (one + "/!transform/{target}", {"POST": self.transform}),
            (one + "/{sublist}", {"GET": self.read_sublist}),
            (one + "/{sublist}/{line}", {"GET": self.read_line}),
        )
        return [
            Route(path, endpoint(handler, self._authenticate), methods=[method])
            for path, handlers in table
            for method, handler in handlers.items()
        ]

    # Writing

    async def create(self, request: Request) -> Response:
        record_type = _record_type(request)
        given, headers = self._read_body(request, record_type, await json_body(request))
        key = _take_key(given)
        with _duplicates_refused(), self._account.store.change() as change:
            document = RULES[record_type.name].create(self._account, change, given, key)
        return self._saved(request, document, headers)

    async def upsert(self, request: Request) -> Response:
        """PUT takes external ids only: create when absent, else change."""
        record_type = _record_type(request)
        name: str = request.path_params["id"]
        if not name.startswith(_EXTERNAL) or name == _EXTERNAL:
            detail = "PUT is supported for external IDs only. Use the format eid:<external ID>."
            raise NetSuiteError(400, "INVALID_REQUEST", f"Error while accessing a resource. {detail}")
        given, headers = self._read_body(request, record_type, await json_body(request))
        key = name.removeprefix(_EXTERNAL)
        new_key = _take_key(given) or key
        rules = RULES[record_type.name]
        with _duplicates_refused(), self._account.store.change() as change:
            known = change.by_key(record_type.name, key)
            if known is None:
                document = rules.create(self._account, change, given, new_key)
            else:
                document = change.edit(record_type.name, known.id)
                document.key = new_key
                rules.update(self._account, change, document, given, _replaced(request))
        return self._saved(request, document, headers)

    async def change(self, request: Request) -> Response:
        record_type = _record_type(request)
        body = await json_body(request)
        with _duplicates_refused(), self._account.store.change() as change:
            document = change.edit(record_type.name, self._find(request, record_type).id)
            given, headers = self._read_body(request, record_type, body)
            document.key = _take_key(given) or document.key
            RULES[record_type.name].update(self._account, change, document, given, _replaced(request))
        return self._saved(request, document, headers)

    async def delete(self, request: Request) -> Response:
        record_type = _record_type(request)
        with self._account.store.change() as change:
            document = change.edit(record_type.name, self._find(request, record_type).id)
            RULES[record_type.name].remove(self._account, change, document)
            trace: JsonObject = {"recordid": document.id, "type": record_type.name}
            change.add(DELETED, f"{record_type.name}/{document.id}", trace)
        return Response(status_code=204)

    async def transform(self, request: Request) -> Response:
        source_type = _record_type(request)
        target = RECORD_TYPES.get(request.path_params["target"])
        rule = None if target is None else TRANSFORMS.get((source_type.name, target.name))
        if target is None or rule is None:
            raise unknown_resource(f"!transform/{request.path_params['target']}")
        given, headers = self._read_body(request, target, await json_body(request))
        key = _take_key(given)
        with _duplicates_refused(), self._account.store.change() as change:
            source = change.edit(source_type.name, self._find(request, source_type).id)
            document = rule(self._account, change, source, given, key)
        return self._saved(request, document, headers)

    # Reading

    async def read(self, request: Request) -> Response:
        document = self._find(request, _record_type(request, readable=True))
        only = {name.strip().lower() for name in request.query_params.get("fields", "").split(",") if name}
        return ExactJSONResponse(self._printer(request).record(document, only))

    async def read_sublist(self, request: Request) -> Response:
        document = self._find(request, _record_type(request))
        printed = self._printer(request).sublist(document, request.path_params["sublist"])
        if printed is None:
            raise unknown_resource(request.path_params["sublist"])
        return ExactJSONResponse(printed)

    async def read_line(self, request: Request) -> Response:
        document = self._find(request, _record_type(request))
        parameters = request.path_params
        printed = self._printer(request).line(document, parameters["sublist"], parameters["line"])
        if printed is None:
            raise not_found()
        return ExactJSONResponse(printed)

    async def list(self, request: Request) -> Response:
        """Ids and links, nothing else; fields take one GET per record, or SuiteQL."""
        record_type = _record_type(request, readable=True)
        if "q" in request.query_params:
            detail = "Collection filtering is not available in the simulator; use SuiteQL."
            raise NetSuiteError(501, "NOT_IMPLEMENTED", detail, parameter="q")
        limit, offset = paging(request.query_params)
        printer = self._printer(request)
        ids = sorted(
            (document.id for document in self._account.store.all(stored_kind(record_type.name))), key=int
        )
        entries: list[JsonObject] = [
            {"links": [{"rel": "self", "href": printer.href(record_type.name, id_)}], "id": id_}
            for id_ in ids
        ]
        return ExactJSONResponse(
            page(entries, limit, offset, base_url(request) + RECORD_PATH + record_type.name)
        )

    async def catalog(self, request: Request) -> Response:
        items_: list[JsonObject] = [{"name": name} for name in RECORD_TYPES]
        return ExactJSONResponse({"items": items_})

    # Shared steps

    def _printer(self, request: Request) -> Printer:
        query = request.query_params
        return Printer(
            self._account,
            base_url(request),
            expand=query.get("expandSubResources") == "true",
            simple_enums=query.get("simpleEnumFormat") == "true",
        )

    def _find(self, request: Request, record_type: RecordType) -> Document:
        kind = stored_kind(record_type.name)
        name: str = request.path_params["id"]
        if name.startswith(_EXTERNAL):
            document = self._account.store.by_key(kind, name.removeprefix(_EXTERNAL))
        else:
            document = self._account.store.get(kind, name)
        if document is None:
            raise not_found()
        return document

    def _read_body(
        self, request: Request, record_type: RecordType, body: JsonObject
    ) -> tuple[JsonObject, dict[str, str]]:
        """The checked fields, and the headers that tell of dropped names."""
        mode = request.headers.get("X-NetSuite-PropertyNameValidation", "Warning")
        reader = Reader(self._account.resolve, [])
        given = reader.read(record_type.shape, body)
        check_names(reader.unknown, mode)
        warned = reader.unknown and mode == "Warning"
        headers = {_WARNINGS_HEADER: f"Unknown property name: {', '.join(reader.unknown)}"} if warned else {}
        return given, headers

    def _saved(self, request: Request, document: Document, headers: Mapping[str, str]) -> Response:
        location = self._printer(request).href(document.kind, document.id)
        return Response(status_code=204, headers={"Location": location, **headers})


def _record_type(request: Request, *, readable: bool = False) -> RecordType:
    """readable: reference lists are good enough, which cannot be written."""
    name: str = request.path_params["type"]
    record_type = RECORD_TYPES.get(name)
    if record_type is None or not (readable or name in RULES):
        raise unknown_resource(name)
    return record_type


def _take_key(given: JsonObject) -> str | None:
    given.pop("id", None)
    key = given.pop("externalId", None)
    return None if key in (None, "") else str(key)


def _replaced(request: Request) -> frozenset[str]:
    """Sublists that the body replaces as a whole."""
    return frozenset(name.strip() for name in request.query_params.get("replace", "").split(",") if name)


@contextmanager
def _duplicates_refused() -> Iterator[None]:
    """Turns a taken external id into NetSuite's refusal."""
    try:
        yield
    except DuplicateKey as error:
        noun = "entity" if error.kind == "customer" else "record"
        raise business(f"This {noun} already exists.", "externalId") from error
