"""What a run stands on: of several that wait for one lock, the seed decides who gets it, and not the machine."""

from contextlib import ExitStack, closing
from itertools import permutations

import pytest

from libs.common.testing.simulation.backend import Backend, simple_query
from libs.common.testing.simulation.database import SOCKET, greeting
from tests.simulation.ground import Ground

NAMES = ("first", "second", "third")


@pytest.mark.parametrize("turns", list(permutations(NAMES)), ids=" ".join)
def test_of_several_that_wait_for_a_key_the_one_whose_turn_comes_first_has_it(
    ground: Ground, turns: tuple[str, ...]
) -> None:
    def opened() -> Backend:
        words = greeting({"user": "postgres", "database": "postgres"})
        return places.enter_context(closing(Backend(ground.postgres.folder / SOCKET, words)))

    with ExitStack() as places:
        ground.database.control.query("CREATE TABLE simulation.taken (key int PRIMARY KEY, by text)")
        places.callback(lambda: ground.database.control.query("DROP TABLE simulation.taken"))
        holder, waiting = opened(), {name: opened() for name in NAMES}
        holder.query("BEGIN")
        holder.query("INSERT INTO simulation.taken VALUES (1, 'holder')")
        for name, backend in waiting.items():
            taking = f"INSERT INTO simulation.taken VALUES (1, '{name}') ON CONFLICT DO NOTHING"
            assert backend.ask(simple_query(taking), ground.database.waits) is None

        holder.query("ROLLBACK")

        for name in turns:
            assert waiting[name].wait(ground.database.waits) is not None
        assert ground.database.control.query("SELECT by FROM simulation.taken") == [[turns[0]]]
