"""Who may write a field, as the contract says. Open this file to see how a write of somebody else's field is judged.

Every write of every service is judged by `judge`: a caller's request and a change read from a system before anything
is done, and once more at the only door to state (`Tx.put`). A source is `erp`, `crm` or `mesh`, the last being every
caller that is no outside system.

    REFUSE   the whole write is refused with field, owner and rule
    DROP     the field stays as it is, with a row in the audit
    PROPOSE  the value waits for a steward, who lets it go to the owner or not
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from operator import attrgetter

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from ordermesh.common.v1 import ownership_pb2

from libs.common.errors import Refused, Violation

OUTPUT_ONLY = field_behavior_pb2.OUTPUT_ONLY
MESH = "mesh"


class Policy(StrEnum):
    """What happens to a write by a source that is not permitted."""

    REFUSE = "refuse"
    DROP = "drop"
    PROPOSE = "propose"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Ownership of one field."""

    field: str
    owner: str
    updaters: frozenset[str]
    """Sources besides the owner whose values are taken."""
    policy: Policy

    def admits(self, source: str) -> bool:
        return source == self.owner or source in self.updaters

    @property
    def name(self) -> str:
        """The rule, as refusals and the audit name it."""
        return f"ownership.{self.policy}"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Ownership of one kind of record."""

    resource: str
    """Its short name, for example `Customer`."""
    owner: str
    updaters: frozenset[str]
    policy: Policy
    sync_cadence: timedelta
    """Longest planned time between two readings of the owner's changes."""
    fields: Mapping[str, FieldRule]

    def may_register(self, source: str) -> bool:
        """Whether a source may bring a record that is not known yet."""
        return source == self.owner or source in self.updaters


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of the fields of one write."""

    taken: frozenset[str]
    dropped: tuple[FieldRule, ...]
    proposed: tuple[FieldRule, ...]


def owner_of(field: FieldDescriptor) -> str:
    """`erp`, `crm` or `mesh`; empty where the contract names none."""
    return _source(field.GetOptions().Extensions[ownership_pb2.owner])


def _source(owner: int) -> str:
    return ownership_pb2.Owner.Name(owner).removeprefix("OWNER_").lower() if owner else ""  # type: ignore[arg-type]


def _policy(declared: int) -> Policy:
    named = ownership_pb2.ConflictPolicy.Name(declared or ownership_pb2.CONFLICT_POLICY_REFUSE)  # type: ignore[arg-type]
    return Policy(named.removeprefix("CONFLICT_POLICY_").lower())


@cache
def ownership_of(descriptor: Descriptor) -> Ownership:
    """Of a message that the contract marks as a resource."""
    declared = descriptor.GetOptions().Extensions[ownership_pb2.resource]
    updaters = frozenset(_source(updater) for updater in declared.permitted_updaters)
    policy = _policy(declared.conflict_policy)
    return Ownership(
        resource=descriptor.name,
        owner=_source(declared.owner),
        updaters=updaters,
        policy=policy,
        sync_cadence=declared.sync_cadence.ToTimedelta(),
        fields={field.name: field_rule(field, updaters, policy) for field in descriptor.fields},
    )


def field_rule(field: FieldDescriptor, updaters: frozenset[str], policy: Policy) -> FieldRule:
    """The rule of a field; `updaters` and `policy` are its resource's, for what it does not say itself."""
    declared = field.GetOptions().Extensions[ownership_pb2.field_policy]
    own = frozenset(_source(updater) for updater in declared.permitted_updaters)
    owner = owner_of(field)
    return FieldRule(
        field=field.name,
        owner=owner,
        updaters=frozenset() if owner == MESH else (own or updaters) - {owner},
        policy=_policy(declared.conflict_policy) if declared.conflict_policy else policy,
    )


def judge(ownership: Ownership, fields: Iterable[str], source: str, path: str) -> Ruling:
    """What becomes of a write of these fields by this source. `path`: of the record in the request.

    Refused with OWNERSHIP_VIOLATION when a field's policy says so; all such fields are named.
    """
    rules = [ownership.fields[name] for name in dict.fromkeys(fields)]
    foreign = [rule for rule in rules if not rule.admits(source)]
    refused = [rule for rule in foreign if rule.policy is Policy.REFUSE]
    if refused:
        raise _refusal(refused, path)
    return Ruling(
        taken=frozenset(rule.field for rule in rules if rule.admits(source)),
        dropped=tuple(rule for rule in foreign if rule.policy is Policy.DROP),
        proposed=tuple(rule for rule in foreign if rule.policy is Policy.PROPOSE),
    )


def check_stored(ownership: Ownership, fields: Iterable[str], source: str) -> None:
    """The last look before a write is stored: `fields` are those that it changes, whatever led to them.

    What ordermesh owns follows from what others say, so it may change with any of them. Refused with
    OWNERSHIP_VIOLATION.
    """
    known = [ownership.fields[name] for name in fields if name in ownership.fields]
    foreign = [rule for rule in known if rule.owner != MESH and not rule.admits(source)]
    if foreign:
        raise _refusal(foreign, ownership.resource.lower())


def check_registered(ownership: Ownership, source: str) -> None:
    """The same for a record that is new. Refused with OWNERSHIP_VIOLATION."""
    if not ownership.may_register(source):
        record = ownership.resource.lower()
        raise _refusal([FieldRule(record, ownership.owner, ownership.updaters, ownership.policy)], "")


def _refusal(rules: Sequence[FieldRule], path: str) -> Refused:
    violations = [
        Violation(
            f"{path}.{rule.field}".lstrip("."),
            f"is set by the {rule.owner.upper()}",
            "OWNERSHIP_VIOLATION",
            rule=f"ownership.{Policy.REFUSE}",
            owner=rule.owner,
        )
        for rule in rules
    ]
    first = violations[0]
    return Refused(
        "OWNERSHIP_VIOLATION",
        first.description,
        violations=violations,
        metadata={"field": first.field, "field_owner": first.owner, "rule": first.rule},
    )


# What a caller sends ---------------------------------------------------------------------------------------------


def named_fields(record: Message, mask: Sequence[str], *, identity: str, path: str) -> frozenset[str]:
    """Names of the fields that a write is about: those of the mask, or all that are present without one.

    identity: field that says which record is meant. path: of the record in the request. Refused with INVALID_FIELD for
    a name in the mask that the record does not have, OWNERSHIP_VIOLATION for fields that only their owner sets.
    """
    unknown = [name for name in mask if name not in record.DESCRIPTOR.fields_by_name]
    if unknown:
        raise Refused.field("INVALID_FIELD", "update_mask", f"there is no field {unknown[0]}")
    present = [field.name for field, _ in record.ListFields() if field.name != identity]
    locked = sorted({*mask, *present} & output_only_fields(record.DESCRIPTOR))
    if locked:
        raise _refusal([ownership_of(record.DESCRIPTOR).fields[name] for name in locked], path)
    return frozenset(mask or present)


@cache
def output_only_fields(descriptor: Descriptor) -> frozenset[str]:
    """Names of the fields a caller must leave absent."""
    return frozenset(
        field.name
        for field in descriptor.fields
        if OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]  # type: ignore[index]
    )


@cache
def nested_resources(descriptor: Descriptor) -> tuple[tuple[str, bool], ...]:
    """Fields of ours that hold messages of ours, and whether they repeat."""
    return tuple(
        (field.name, field.is_repeated)
        for field in descriptor.fields
        if field.message_type is not None
        and field.message_type.full_name.startswith("ordermesh.")
        and not field.message_type.GetOptions().map_entry
    )


def refuse_output_only(message: Message, path: str) -> None:
    """Refused with OWNERSHIP_VIOLATION when the caller sets what only its owner sets. `path`: of the message."""
    if not any(test(message) for test in _foreign_tests(message.DESCRIPTOR)):
        return
    violations: list[Violation] = []
    _collect(message, path, violations)
    if violations:
        first = violations[0]
        metadata = {"field": first.field, "field_owner": first.owner, "rule": first.rule}
        raise Refused("OWNERSHIP_VIOLATION", first.description, violations=violations, metadata=metadata)


Test = Callable[[Message], bool]


@cache
def _foreign_tests(descriptor: Descriptor) -> tuple[Test, ...]:
    """Tests of which one holds where a message sets what a caller must leave absent, at any depth.

    Each looks at fields that matter, and which these are is found once: 3 µs for an order of six lines.
    """
    forbidden = output_only_fields(descriptor)
    fields = [field for field in descriptor.fields if field.name in forbidden]
    tests = [_present(field.name) for field in fields if field.has_presence]
    plain = [field.name for field in fields if not field.has_presence]
    if plain:
        tests.append(_filled(plain))
    for name, repeated in nested_resources(descriptor):
        inside = _foreign_tests(descriptor.fields_by_name[name].message_type) if name not in forbidden else ()
        if inside:
            tests.append(_inside(name, inside, repeated=repeated))
    return tuple(tests)


def _present(name: str) -> Test:
    return lambda message: message.HasField(name)


def _filled(names: Sequence[str]) -> Test:
    """Whether one of the fields holds anything."""
    read = attrgetter(*names)
    return (lambda message: any(read(message))) if len(names) > 1 else (lambda message: bool(read(message)))


def _inside(name: str, tests: Sequence[Test], *, repeated: bool) -> Test:
    read = attrgetter(name)
    if repeated:
        return lambda message: any(any(map(test, read(message))) for test in tests)
    return lambda message: message.HasField(name) and any(test(read(message)) for test in tests)


def _collect(message: Message, path: str, violations: list[Violation]) -> None:
    forbidden = output_only_fields(message.DESCRIPTOR)
    for field, _ in message.ListFields():
        if field.name in forbidden:
            owner = owner_of(field)
            said = f"is set by the {owner.upper()} and must be absent"
            violations.append(
                Violation(
                    f"{path}.{field.name}", said, "OWNERSHIP_VIOLATION", rule="field.output_only", owner=owner
                )
            )
    for name, repeated in nested_resources(message.DESCRIPTOR):
        if name in forbidden:
            continue
        if repeated:
            for index, item in enumerate(getattr(message, name)):
                _collect(item, f"{path}.{name}[{index}]", violations)
        elif message.HasField(name):
            _collect(getattr(message, name), f"{path}.{name}", violations)
