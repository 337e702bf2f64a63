"""The simulators' document store: what is written together, what is unique, and in which order changes are told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.kit.simulator import DuplicateKey, Store, dumps, loads

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def add(store: Store, id_: str, key: str | None = None, **body: object) -> None:
    with store.change() as change:
        change.add("order", id_, dict(body), key=key)


def test_a_change_that_raises_leaves_nothing() -> None:
    store = Store()

    def fail_half_way() -> None:
        with store.change() as change:
            change.add("order", str(change.next_number("order")), {})
            raise LookupError

    with pytest.raises(LookupError):
        fail_half_way()
    assert (store.count("order"), store.writes, store.counter("order")) == (0, 0, 0)


def test_keys_are_unique_within_their_kind_and_a_loser_writes_nothing() -> None:
    store = Store()
    add(store, "1", key="a")

    def claim_again() -> None:
        with store.change() as change:
            change.add("order", "2", {}, key="a")
            change.add("invoice", "3", {}, key="a")

    with pytest.raises(DuplicateKey) as refused:
        claim_again()
    assert refused.value.holder == "1"
    assert (store.count("order"), store.count("invoice")) == (1, 0)


def test_a_key_can_move_from_one_document_to_another() -> None:
    store = Store()
    add(store, "1", key="a")
    with store.change() as change:
        change.edit("order", "1").key = None
        change.add("order", "2", {}, key="a")
    found = store.by_key("order", "a")
    assert found is not None
    assert found.id == "2"


def test_a_change_sees_what_it_staged_and_others_do_not() -> None:
    store = Store()
    add(store, "1", key="a", memo="old")
    with store.change() as change:
        change.edit("order", "1").body["memo"] = "new"
        staged = change.by_key("order", "a")
        stored = store.by_key("order", "a")
        assert staged is not None
        assert stored is not None
        assert (staged.body["memo"], stored.body["memo"]) == ("new", "old")
    assert store.all("order")[0].body == {"memo": "new"}


def test_everything_comes_back_from_the_file(tmp_path: Path) -> None:
    watch = Watch()
    store = Store(tmp_path / "state.db", watch)
    add(store, "1", key="a", total=Decimal("12.50"), quantity=Decimal(3), lines=[{"line": 1}])
    with store.change(counted=False) as change:
        assert change.next_number("order") == 1
        change.add("order", "2", {})
        change.add("order", "3", {})
    with store.change(counted=False) as change:
        change.remove("order", "3")
    store.close()
    again = Store(tmp_path / "state.db", watch)
    found = again.by_key("order", "a")
    assert found is not None
    assert found.body == {"total": Decimal("12.50"), "quantity": Decimal(3), "lines": [{"line": 1}]}
    assert isinstance(found.body["quantity"], Decimal)
    assert [document.id for document in again.all("order")] == ["1", "2"]
    assert (again.writes, again.counter("order"), again.seq) == (1, 1, 3)


def test_changes_are_told_in_the_order_of_their_last_write() -> None:
    watch = Watch()
    store = Store(clock=watch)
    for id_ in "123":
        watch.now += timedelta(seconds=1)
        add(store, id_)
    seq = store.seq
    watch.now += timedelta(seconds=1)
    with store.change() as change:
        change.edit("order", "1").body["memo"] = "x"
    assert [document.id for document in store.changed_after("order", 0)] == ["2", "3", "1"]
    assert [document.id for document in store.changed_after("order", seq)] == ["1"]
    assert [document.id for document in store.changed_since("order", NOON + timedelta(seconds=3))] == [
        "3",
        "1",
    ]


def test_a_clock_that_steps_back_does_not_disorder_the_feed() -> None:
    watch = Watch()
    store = Store(clock=watch)
    add(store, "1")
    watch.now -= timedelta(hours=1)
    add(store, "2")
    assert [document.modified for document in store.all("order")] == [NOON, NOON]


@pytest.mark.parametrize("text", ["12.50", "0.1000", "-3.0", "123456789012345678901234567890.12"])
def test_numbers_pass_through_json_digit_for_digit(text: str) -> None:
    assert dumps(loads(f'{{"n":{text}}}')) == f'{{"n":{text}}}'


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError):
        loads('{"n":NaN}')
