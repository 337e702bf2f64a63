"""Refusals of one record: not found, a bad value, a key that is taken, a rule of the org."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from .base import SalesforceError

# finding a record


def key_not_found(value: str) -> SalesforceError:
    return SalesforceError(
        404,
        "NOT_FOUND",
        f"Provided external ID field does not exist or is not accessible: {value}",
    )


def entity_is_deleted() -> SalesforceError:
    return SalesforceError(404, "ENTITY_IS_DELETED", "entity is deleted", ())


def not_allowed(sobject: str, verb: str) -> SalesforceError:
    return SalesforceError(
        400,
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        f"entity type {sobject} does not support {verb}",
        (),
    )


def key_in_upsert_body(name: str) -> SalesforceError:
    return SalesforceError(
        400,
        "INVALID_FIELD",
        f"The {name} field should not be specified in the sobject data.",
        (name,),
    )


def malformed_id(name: str, value: str) -> SalesforceError:
    return SalesforceError(400, "MALFORMED_ID", f"{name}: id value of incorrect type: {value}", (name,))


def invalid_cross_reference(name: str) -> SalesforceError:
    return SalesforceError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))


def foreign_key_not_found(name: str, value: str, target: str) -> SalesforceError:
    """A parent named by its external id (`"Account": {"ERP_Key__c": …}`) that does not exist."""
    return SalesforceError(
        400,
        "INVALID_FIELD",
        f"Foreign key external ID: {value} not found for field {name} in entity {target}",
        (),
    )


# field values


def no_such_column(name: str, sobject: str) -> SalesforceError:
    return SalesforceError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")


def required_missing(names: Sequence[str]) -> SalesforceError:
    listed = ", ".join(names)
    return SalesforceError(
        400,
        "REQUIRED_FIELD_MISSING",
        f"Required fields are missing: [{listed}]",
        tuple(names),
    )


def not_writable(name: str) -> SalesforceError:
    text = "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is"
    return SalesforceError(
        400,
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"{text.format(name)} read/write for your profile or permission set.",
        (name,),
    )


def too_long(label: str, name: str, value: str, length: int) -> SalesforceError:
    return SalesforceError(
        400,
        "STRING_TOO_LONG",
        f"{label}: data value too large: {value[:255]} (max length={length})",
        (name,),
    )


def number_out_of_range(label: str, name: str) -> SalesforceError:
    return SalesforceError(
        400,
        "NUMBER_OUTSIDE_VALID_RANGE",
        f"{label}: value outside of valid range on numeric field",
        (name,),
    )


def wrong_type(name: str, soap_type: str, value: object) -> SalesforceError:
    return SalesforceError(
        400,
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {soap_type} from {_token(value)} value {value} or request may be missing a "
        f"required field at [line:1, column:1] for {name}",
    )


def _token(value: object) -> str:
    if isinstance(value, bool):
        return "VALUE_TRUE" if value else "VALUE_FALSE"
    if isinstance(value, str):
        return "VALUE_STRING"
    return "VALUE_NUMBER_FLOAT" if isinstance(value, Decimal) else "VALUE_NUMBER_INT"


def bad_picklist_value(label: str, name: str, value: str) -> SalesforceError:
    return SalesforceError(
        400,
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        f"{label}: bad value for restricted picklist field: {value}",
        (name,),
    )


def invalid_email(name: str, value: str) -> SalesforceError:
    return SalesforceError(400, "INVALID_EMAIL_ADDRESS", f"{name}: invalid email address: {value}", (name,))


def duplicate_value(name: str, record_id: str) -> SalesforceError:
    return SalesforceError(
        400,
        "DUPLICATE_VALUE",
        f"duplicate value found: {name} duplicates value on record with id: {record_id[:15]}",
        (),
    )


def duplicate_external_id(name: str, value: str) -> SalesforceError:
    return SalesforceError(
        400,
        "DUPLICATE_EXTERNAL_ID",
        f"Duplicate external id specified: {value}",
        (name,),
    )


# rules of the quote-to-cash objects


def standard_price_not_defined() -> SalesforceError:
    return SalesforceError(
        400,
        "STANDARD_PRICE_NOT_DEFINED",
        "Before creating a custom price, create a standard price.",
        (),
    )


def price_already_defined() -> SalesforceError:
    return SalesforceError(
        400,
        "DUPLICATE_VALUE",
        "This price definition already exists in this price book",
        (),
    )


def validation_rule(message: str, name: str) -> SalesforceError:
    """A rule that the org's administrators wrote."""
    return SalesforceError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message, (name,))


def field_integrity(message: str, *names: str) -> SalesforceError:
    return SalesforceError(400, "FIELD_INTEGRITY_EXCEPTION", message, names)


def draft_first() -> SalesforceError:
    return SalesforceError(
        400,
        "FAILED_ACTIVATION",
        "Choose a valid order status and save your changes.",
        ("Status",),
    )


def activation_only() -> SalesforceError:
    return SalesforceError(
        400,
        "FAILED_ACTIVATION",
        "Activate the order in an update that changes nothing else.",
        ("Status",),
    )


def activation_needs_lines() -> SalesforceError:
    return SalesforceError(400, "FAILED_ACTIVATION", "An order must have at least one product.", ())


def order_locked() -> SalesforceError:
    return SalesforceError(
        400,
        "ENTITY_IS_LOCKED",
        "Unable to modify activated or superseded Order: cannot delete Order, or add or remove Order Products",
        (),
    )


def order_frozen(names: Sequence[str]) -> SalesforceError:
    """Fields nobody may change once the order is activated."""
    return SalesforceError(
        400,
        "FIELD_INTEGRITY_EXCEPTION",
        f"field cannot change on an activated order: {', '.join(names)}",
        tuple(names),
    )


def needs_edit_activated_orders(names: Sequence[str]) -> SalesforceError:
    """Fields that only the permission Edit Activated Orders opens; the simulated users do not have it."""
    return SalesforceError(
        400,
        "INSUFFICIENT_ACCESS_OR_READONLY",
        f"insufficient access rights on an activated order: {', '.join(names)}",
        tuple(names),
    )


def still_used_by(name: str, plural: str) -> SalesforceError:
    text = f"Your attempt to delete {name} could not be completed because it is associated with the following {plural}"
    return SalesforceError(400, "DELETE_FAILED", text, ())


def unable_to_lock_row(record_id: str) -> SalesforceError:
    return SalesforceError(
        400,
        "UNABLE_TO_LOCK_ROW",
        f"unable to obtain exclusive access to this record or 1 records: {record_id}",
        (),
    )
