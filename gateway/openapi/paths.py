"""HTTP rules as operations. Open this file to change how a method of the contracts looks in the document."""

import re
from collections.abc import Iterator, Mapping, Sequence

from protobuf import DescField, DescFieldValueMap, DescMessage

from gateway.fields import JsonValue, kind_of
from gateway.lifecycle import deprecation_of
from gateway.openapi.parts import COMMON_PROBLEMS, header_references, parameter_reference, problem_references
from gateway.openapi.schemas import Schema, Schemas
from gateway.rules import HEADER_FIELDS, WHOLE_BODY, Rule

SUBMIT = "SubmitOrder"
_VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([a-z]+)/\*)?\}")
_WRITE_PROBLEMS = (409, 413, 415, 422)
_QUERY_KINDS = ("Timestamp", "Duration", "FieldMask")


class Paths:
    """Collects operations by path and verb."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self.paths: dict[str, dict[str, JsonValue]] = {}
        self._ids: set[str] = set()

    def add(self, rule: Rule) -> None:
        self.add_operation(rule.verb, shown_path(rule.template), self._operation(rule))

    def add_operation(self, verb: str, path: str, operation: Schema) -> None:
        """Refuses a second operation of the same id: importers name actions by it."""
        operation_id = str(operation["operationId"])
        assert operation_id not in self._ids, f"{operation_id} is described twice"
        self._ids.add(operation_id)
        self.paths.setdefault(path, {})[verb.lower()] = operation

    def _operation(self, rule: Rule) -> Schema:
        text = self._schemas.comment(f"{rule.desc.parent.type_name}.{rule.name}")
        parameters: list[JsonValue] = [
            *self._path_parameters(rule),
            *self._query_parameters(rule),
            *map(parameter_reference, _headers_of(rule)),
        ]
        operation: Schema = {
            "operationId": self._operation_id(rule),
            "summary": text.partition(".")[0],
            "description": text,
            "tags": [rule.package],
            "parameters": parameters,
        }
        if rule.body:
            operation["requestBody"] = self._body(rule)
        operation["responses"] = self._responses(rule)
        if deprecation_of(rule.desc) is not None:
            operation["deprecated"] = True
        operation["x-roles"] = [*sorted(rule.method.roles)]
        return operation

    def _operation_id(self, rule: Rule) -> str:
        """`submitOrder`; a method with several paths is named after the record: `getOrderLineage`."""
        name = rule.name[0].lower() + rule.name[1:]
        several = _VARIABLE.search(rule.template)
        if several is not None and several[2]:
            return f"get{several[2].removesuffix('s').capitalize()}{rule.name.removeprefix('Get')}"
        return name

    def _path_parameters(self, rule: Rule) -> Iterator[Schema]:
        for match in _VARIABLE.finditer(rule.template):
            field = _field_at(rule.desc.input, match[1])
            schema = self._schemas.field(field)
            description = str(schema.pop("description", ""))
            schema.pop("readOnly", None)
            if match[2]:
                schema, description = (
                    {"type": "string", "minLength": 1},
                    f"Id of the {match[2].removesuffix('s')}.",
                )
            name = _shown_variable(match)
            yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}

    def _query_parameters(self, rule: Rule) -> Iterator[Schema]:
        if rule.body == WHOLE_BODY:
            return
        elsewhere = {
            rule.body,
            *HEADER_FIELDS,
            *(m[1].split(".")[0] for m in _VARIABLE.finditer(rule.template)),
        }
        for field in rule.desc.input.fields:
            if field.name in elsewhere or not _fits_query(field):
                continue
            schema = {**self._schemas.field(field), **_said_in_query(field)}
            description = schema.pop("description", "")
            yield {"name": field.json_name, "in": "query", "description": description, "schema": schema}

    def _body(self, rule: Rule) -> Schema:
        if rule.body == WHOLE_BODY:
            elsewhere = {*HEADER_FIELDS, *(m[1] for m in _VARIABLE.finditer(rule.template))}
            schema = self._schemas.body(rule.desc.input, elsewhere)
        else:
            schema = self._schemas.reference(rule.body_desc)
        return {"required": rule.body != WHOLE_BODY, "content": {"application/json": {"schema": schema}}}

    def _responses(self, rule: Rule) -> Schema:
        problems = {*COMMON_PROBLEMS, *(_WRITE_PROBLEMS if rule.body else ())}
        if _VARIABLE.search(rule.template):
            problems.add(404)
        if rule.etag is not None:
            problems |= {412, 428} if rule.needs_version else {412}
        answered = response(
            self._schemas.reference(rule.desc.output), self._answer_text(rule), _answer_headers(rule)
        )
        if rule.name == SUBMIT:
            return {**submitted(answered), **problem_references(*problems)}
        known: Schema = {}
        if rule.verb == "GET" and rule.resource is not None:
            known = {"304": {"$ref": "#/components/responses/NotModified"}}
        return {"200": answered, **known, **problem_references(*problems)}

    def _answer_text(self, rule: Rule) -> str:
        return self._schemas.comment(rule.desc.output.type_name) or "Done."


def submitted(answered: Schema) -> Schema:
    """The two answers of a submission."""
    at_rest = {
        **answered,
        "description": "Only with `Prefer: wait`: the ERP has spoken, or the order stands still. With `validateOnly`:"
        " it would be accepted.",
    }
    headers = answered["headers"]
    assert isinstance(headers, dict)
    under_way = {
        **answered,
        "description": "Accepted; posting to the ERP follows.",
        "headers": {**headers, **header_references("RetryAfter")},
    }
    return {"200": at_rest, "202": under_way}


def response(schema: Schema, description: str, headers: Sequence[str]) -> Schema:
    return {
        "description": description,
        "headers": header_references("CorrelationId", "RateLimit", "RateLimitPolicy", *headers),
        "content": {"application/json": {"schema": schema}},
    }


def shown_path(template: str) -> str:
    """`/v1/{subject=orders/*}/lineage` is shown as `/v1/orders/{orderId}/lineage`."""
    return _VARIABLE.sub(
        lambda match: (f"{match[2]}/" if match[2] else "") + f"{{{_shown_variable(match)}}}", template
    )


def _shown_variable(match: "re.Match[str]") -> str:
    if match[2]:
        return match[2].removesuffix("s") + "Id"
    head, *rest = match[1].rpartition(".")[2].split("_")
    return head + "".join(part.capitalize() for part in rest)


def _headers_of(rule: Rule) -> Iterator[str]:
    if rule.key is not None:
        yield "IdempotencyKey"
    if rule.etag is not None:
        yield "RequiredIfMatch" if rule.needs_version else "IfMatch"
    if rule.verb == "GET" and rule.resource is not None:
        yield "IfNoneMatch"
    if rule.method.effect or rule.wait is not None:
        yield "Prefer"
    yield "CorrelationId"
    yield "Traceparent"


def _answer_headers(rule: Rule) -> tuple[str, ...]:
    return (
        *(("Deprecation", "Sunset") if deprecation_of(rule.desc) is not None else ()),
        *(("ETag",) if rule.resource is not None else ()),
        *(("Location",) if rule.name == SUBMIT else ()),
        *(("IdempotentReplayed",) if rule.key is not None else ()),
        *(("PreferenceApplied",) if rule.method.effect or rule.wait is not None else ()),
    )


def _field_at(desc: DescMessage, path: str) -> DescField:
    head, _, rest = path.partition(".")
    field = next(field for field in desc.fields if field.name == head)
    inner = kind_of(field)
    return _field_at(inner, rest) if rest and isinstance(inner, DescMessage) else field


def _said_in_query(field: DescField) -> Schema:
    """A span may be plain seconds there."""
    kind = kind_of(field)
    if isinstance(kind, DescMessage) and kind.name == "Duration":
        return {"pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?s?$"}
    return {}


def _fits_query(field: DescField) -> bool:
    kind = kind_of(field)
    return not isinstance(field.value, DescFieldValueMap) and (
        not isinstance(kind, DescMessage) or kind.name in _QUERY_KINDS
    )


def security() -> Mapping[str, JsonValue]:
    return {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
