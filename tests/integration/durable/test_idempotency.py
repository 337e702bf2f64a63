"""Same key and same request: the same answer, whoever asks and however often. Another request: refused."""

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from libs.common.context import using
from libs.common.durable import sweep
from libs.common.durable.idempotency import RETENTION
from libs.common.durable.unit import Unit
from libs.common.errors import Refused
from libs.common.testing.records import (
    Note,
    NoteTx,
    WriteNote,
    a_context,
    a_key,
    id_in,
    render_note,
    write_note,
)
from tests.integration.durable.world import World


async def write(unit: Unit[NoteTx], text: str = "hello", key: str = "k") -> StringValue:
    command = WriteNote(text, ("stage:next",))
    return await unit.run_once(write_note, command, render_note, a_key(key, command))


async def test_a_repetition_gets_the_stored_answer_byte_for_byte(world: World) -> None:
    first = await write(world.unit)
    await world.write("another", note_id="note_other")

    again = await write(world.unit)

    assert again.SerializeToString() == first.SerializeToString()
    assert await world.count("notes") == 2


async def test_fifty_callers_at_once_in_two_processes_get_one_answer(world: World) -> None:
    units = [world.unit, world.new_unit()]

    answers = await asyncio.gather(*(write(units[number % 2]) for number in range(50)))

    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert await world.counts() == {
        **dict.fromkeys(("idempotency", "notes", "event", "delivery", "audit"), 1),
        "link": 0,
    }


async def test_many_keys_asked_for_many_times_in_two_processes_take_effect_once_each(world: World) -> None:
    units = [world.unit, world.new_unit()]

    answers = await asyncio.gather(
        *(write(units[turn % 2], f"n{number}", f"k{number}") for turn in range(6) for number in range(20))
    )

    assert len({id_in(answer) for answer in answers}) == 20
    assert await world.count("notes") == 20
    for number in range(20):
        assert len({answer.value for answer in answers[number::20]}) == 1


async def test_only_repetitions_are_told_as_such(world: World) -> None:
    told: list[str] = []
    unit = Unit(
        world.unit.store,
        NoteTx,
        clock=world.clock,
        new_id=world.unit.new_id,
        note_replay=lambda: told.append("repetition"),
    )

    await write(unit)
    assert told == []
    await write(unit)
    assert told == ["repetition"]


async def test_the_same_key_with_another_request_is_refused(world: World) -> None:
    await write(world.unit, "one")

    with pytest.raises(Refused) as refused:
        await write(world.unit, "two")

    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert await world.rows("SELECT text FROM notes") == [{"text": "one"}]


async def test_the_same_key_with_another_request_at_the_same_time_is_refused(world: World) -> None:
    units = [world.unit, world.new_unit()]
    texts = ["one", "two"] * 10

    outcomes = await asyncio.gather(
        *(write(units[number // 2 % 2], text) for number, text in enumerate(texts)), return_exceptions=True
    )

    stored = (await world.rows("SELECT text FROM notes"))[0]["text"]
    assert await world.count("notes") == 1
    for text, outcome in zip(texts, outcomes, strict=True):
        assert isinstance(outcome, StringValue) == (text == stored)
        if text != stored:
            assert isinstance(outcome, Refused)
            assert outcome.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_a_refused_command_binds_no_key(world: World) -> None:
    async def write_note_or_refuse(command: WriteNote, tx: NoteTx) -> Note:
        if command.text == "refuse me":
            raise Refused("CREDIT_HOLD")
        return await write_note(command, tx)

    async def call(text: str) -> StringValue:
        command = WriteNote(text)
        return await world.unit.run_once(write_note_or_refuse, command, render_note, a_key("k", command))

    with pytest.raises(Refused):
        await call("refuse me")
    answer = await call("mended")

    assert await world.count("idempotency") == 1
    assert answer == await call("mended")


async def test_a_repetition_that_would_be_refused_by_now_gets_the_stored_answer(world: World) -> None:
    """Commands run before their keys are looked up: what the first run has changed may refuse the second."""

    async def write_once(command: WriteNote, tx: NoteTx) -> Note:
        if await tx.driver.fetchval("SELECT count(*) FROM notes"):
            raise Refused("CREDIT_HOLD")
        return await write_note(command, tx)

    async def call(text: str, key: str) -> StringValue:
        command = WriteNote(text)
        return await world.unit.run_once(write_once, command, render_note, a_key(key, command))

    first = await call("one", "k")

    assert await call("one", "k") == first
    with pytest.raises(Refused) as refused:
        await call("two", "k")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    with pytest.raises(Refused) as refused:
        await call("two", "k2")
    assert refused.value.reason == "CREDIT_HOLD"


async def test_repetitions_amid_new_commands_of_one_commit_are_told_apart(world: World) -> None:
    answers = await asyncio.gather(*(write(world.unit, f"n{n}", f"k{n}") for n in range(8)))
    runs: list[str] = []

    async def count_and_write(command: WriteNote, tx: NoteTx) -> Note:
        runs.append(command.text)
        return await write_note(command, tx)

    count_and_write.__name__ = write_note.__name__
    unit = world.new_unit()
    commands = [WriteNote(f"n{n}", ("stage:next",)) for n in range(16)]

    async def call(n: int) -> StringValue:
        return await unit.run_once(count_and_write, commands[n], render_note, a_key(f"k{n}", commands[n]))

    again = await asyncio.gather(*(call(n) for n in range(16)))
    assert [answer.SerializeToString() for answer in again[:8]] == [
        answer.SerializeToString() for answer in answers
    ]
    assert await world.count("notes") == 16

    # Once there have been repetitions, keys are looked up first for a while.
    runs.clear()
    await asyncio.gather(*(call(n) for n in range(16)))
    assert runs == []


async def test_callers_of_one_key_that_is_refused_are_all_refused(world: World) -> None:
    async def refuse(command: WriteNote, tx: NoteTx) -> Note:
        raise Refused("CREDIT_HOLD")

    async def call() -> StringValue:
        return await world.unit.run_once(refuse, WriteNote("x"), render_note, a_key("k"))

    outcomes = await asyncio.gather(*(call() for _ in range(20)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {Refused}
    assert await world.count("idempotency") == 0


async def test_a_key_belongs_to_one_tenant_and_one_command(world: World) -> None:
    async def write_other(command: WriteNote, tx: NoteTx) -> Note:
        return await write_note(command, tx)

    first = await write(world.unit)
    with using(a_context("other")):
        other_tenant = await write(world.unit)
    command = WriteNote("hello", ("stage:next",))
    other_command = await world.unit.run_once(write_other, command, render_note, a_key("k", command))

    assert len({id_in(answer) for answer in (first, other_tenant, other_command)}) == 3
    assert await world.count("idempotency") == 3


async def test_keys_are_kept_for_thirty_days_and_then_forgotten(world: World) -> None:
    await write(world.unit, key="old")
    world.clock.advance(RETENTION - timedelta(seconds=1))
    await write(world.unit, key="young")

    assert await sweep.forget_keys(world.unit.store, world.clock.now()) == 0
    world.clock.advance(timedelta(seconds=2))
    assert await sweep.forget_keys(world.unit.store, world.clock.now()) == 1

    assert await world.rows("SELECT key FROM idempotency") == [{"key": "young"}]
    assert await world.count("notes") == 2


async def test_keys_are_forgotten_in_bounded_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "STEP", 4)
    await asyncio.gather(*(write(world.unit, key=f"k{number}") for number in range(10)))
    world.clock.advance(RETENTION + timedelta(seconds=1))

    steps = [await sweep.forget_keys(world.unit.store, world.clock.now()) for _ in range(4)]

    assert steps == [4, 4, 2, 0]


async def test_the_sweep_goes_on_until_all_is_forgotten_and_stops_when_told(world: World) -> None:
    await asyncio.gather(*(write(world.unit, key=f"k{number}") for number in range(10)))
    world.clock.advance(RETENTION + timedelta(seconds=1))
    stop = asyncio.Event()

    sweeping = asyncio.create_task(sweep.run(world.unit.store, world.clock, stop))
    await world.clock.someone_waits()
    assert await world.count("idempotency") == 0
    stop.set()
    await sweeping
