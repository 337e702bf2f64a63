"""The call context belongs to one task and its children."""

import asyncio

import pytest

from libs.common.context import CallContext, accepted_id, current, current_context, using


def a_context(tenant: str) -> CallContext:
    return CallContext(tenant, "salesforce", "sub", frozenset({"integration"}), "cor-1")


def test_asking_outside_of_a_call_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        current_context()


def test_the_context_ends_with_its_block() -> None:
    with using(a_context("acme")):
        with using(a_context("globex")):
            assert current_context().tenant == "globex"
        assert current_context().tenant == "acme"
    assert current.get(None) is None


async def test_tasks_that_run_together_do_not_see_each_other_s_tenant() -> None:
    meet = asyncio.Barrier(2)

    async def work(tenant: str) -> str:
        with using(a_context(tenant)):
            await meet.wait()
            return current_context().tenant

    first, second = await asyncio.gather(work("acme"), work("globex"))
    assert (first, second) == ("acme", "globex")


@pytest.mark.parametrize("text", ["", "a" * 129, "a b", "ä", "a\n", "<x>"])
def test_an_id_that_could_break_a_log_or_header_is_not_taken(text: str) -> None:
    assert accepted_id(text) == ""


def test_a_usual_id_is_taken() -> None:
    assert accepted_id("req-1_2.3") == "req-1_2.3"
