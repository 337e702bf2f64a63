"""What a field and an object can be: open this to teach the simulated org a new property of fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

# What is stored of a field. Dates and times are text in the form in which the API prints them, always UTC.
Scalar: TypeAlias = str | int | bool | Decimal | None
Values: TypeAlias = dict[str, Scalar]

Write: TypeAlias = Literal["always", "once", "never"]

# Salesforce's words for kinds of text, all stored as str.
TEXT_TYPES = frozenset({"string", "textarea", "phone", "url", "email", "picklist"})
NUMBER_TYPES = frozenset({"double", "currency", "percent"})


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field as describe tells of it; `type` is Salesforce's own word (string, currency, reference, …).

    length: of text, in characters. precision and scale: of numbers, in decimal digits.
    write: who may fill it: a client at any time, a client only when creating, or only the org itself.
    values: of a picklist; refused when another is written only if restricted.
    refers_to: the parent object of a reference; children: what the parent calls its list of these.
    computed: never stored, worked out when read (`computed.py`).
    """

    name: str
    type: str = "string"
    label: str = ""
    length: int = 255
    precision: int = 18
    scale: int = 2
    write: Write = "always"
    required: bool = False
    default: Scalar = None
    external_id: bool = False
    unique: bool = False
    values: tuple[str, ...] = ()
    restricted: bool = False
    refers_to: str = ""
    children: str = ""
    computed: bool = False
    auto_number: str = ""  # A format such as `{:08d}`.

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def createable(self) -> bool:
        return self.write != "never"

    @property
    def updateable(self) -> bool:
        return self.write == "always"

    @property
    def indexed(self) -> bool:
        """Whether records are ever looked up by it: keys, parents, and two codes."""
        parent = bool(self.refers_to) and self.refers_to != "User" and not self.computed
        named = self.name in ("ProductCode", "OrderReferenceNumber") and not self.computed
        return self.external_id or parent or named

    @property
    def nillable(self) -> bool:
        return not self.required and self.default is None and self.type not in ("boolean", "id")

    @property
    def relationship(self) -> str:
        """The parent's name in queries and bodies: `AccountId` gives `Account`, `Order__c` gives `Order__r`."""
        if not self.refers_to:
            return ""
        return f"{self.name[:-3]}__r" if self.custom else self.name.removesuffix("Id")


@dataclass(frozen=True)
class SObject:
    """One object: its fields by exact name, and what a client may do to its records."""

    name: str
    key_prefix: str
    fields: Mapping[str, Field]
    plural: str
    read_only: bool = False
    _by_lower_name: Mapping[str, Field] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, name: str, key_prefix: str, own: Iterable[Field], *, plural: str = "", read_only: bool = False
    ) -> SObject:
        fields = {each.name: each for each in (*_SYSTEM_HEAD, *own, *_SYSTEM_TAIL)}
        lower = {each.name.lower(): each for each in fields.values()}
        return cls(name, key_prefix, fields, plural or f"{name}s", read_only, lower)

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    def find_field(self, name: str) -> Field | None:
        """The field of that name, in any letter case."""
        return self._by_lower_name.get(name.lower())

    def find_relationship(self, name: str) -> Field | None:
        """The reference field whose parent is called `name` in queries and bodies."""
        for each in self.fields.values():
            if each.relationship and each.relationship.lower() == name.lower():
                return each
        return None

    def key_fields(self) -> Iterator[Field]:
        """Fields that a record can be addressed by beside its Id."""
        return (each for each in self.fields.values() if each.external_id)


_SYSTEM_HEAD = (
    Field(name="Id", type="id", length=18, write="never"),
    Field(name="IsDeleted", type="boolean", default=False, write="never"),
)
_SYSTEM_TAIL = (
    Field(name="CreatedDate", type="datetime", write="never"),
    Field(name="CreatedById", type="reference", refers_to="User", write="never"),
    Field(name="LastModifiedDate", type="datetime", write="never"),
    Field(name="LastModifiedById", type="reference", refers_to="User", write="never"),
    Field(name="SystemModstamp", type="datetime", write="never"),
)
SYSTEM_FIELDS = frozenset(each.name for each in (*_SYSTEM_HEAD, *_SYSTEM_TAIL))

CURRENCIES = (
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "CHF",
    "CAD",
    "AUD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "INR",
    "CNY",
    "MXN",
    "BRL",
)


def currency_code(write: Write = "always") -> Field:
    """The org is a multicurrency one: every object with money says in which."""
    return Field(
        name="CurrencyIsoCode",
        type="picklist",
        length=3,
        default="USD",
        values=CURRENCIES,
        restricted=True,
        write=write,
    )


def address(prefix: str) -> tuple[Field, ...]:
    """The five writable parts of an address and the compound that only reads."""
    return (
        Field(name=f"{prefix}Street", type="textarea"),
        Field(name=f"{prefix}City", length=40),
        Field(name=f"{prefix}State", length=80),
        Field(name=f"{prefix}PostalCode", length=20),
        Field(name=f"{prefix}Country", length=80),
        Field(name=f"{prefix}Address", type="address", write="never", computed=True),
    )


def owner() -> Field:
    return Field(name="OwnerId", type="reference", refers_to="User")


def erp_key() -> Field:
    """The record's key in the ERP: what ordermesh upserts by."""
    return Field(name="ERP_Key__c", label="ERP Key", length=80, external_id=True, unique=True)
