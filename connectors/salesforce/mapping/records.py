"""What a mapping gives to be written: open this to let mappings say one more thing about a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Fields = dict[str, object]
"""Salesforce field names and values: text, Decimal, bool, None to empty, or a parent named by its key."""


@dataclass(frozen=True, slots=True)
class Target:
    """The record that is meant: by its Salesforce id where a link is known, else by one of its key fields."""

    sobject: str
    key_field: str
    key: str
    record_id: str = ""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Records that hang on the first one, each upserted by its `ERP_Key__c`."""

    sobject: str
    records: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Writing:
    """One canonical record as Salesforce shall show it.

    fields: written always. creating: written in addition when the record is made. stamp: the field that holds our key,
    written where the key is not already in the target. waits_for: our field whose record is not known in Salesforce
    yet, so that this one cannot be made; empty when it can. paths: Salesforce's field names to ours, for refusals.
    """

    target: Target
    fields: Fields
    creating: Fields = field(default_factory=dict)
    waits_for: str = ""
    mirrors: tuple[Mirrors, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
