"""The demo's story on a mesh that runs already: what the journeys here are made of."""

import asyncio

import pytest
from rich.console import Console

from libs.cli.demo.faults import Wish
from libs.cli.demo.goods import draw_goods
from libs.cli.demo.stage import Stage
from libs.cli.demo.story import Outcome, Story
from libs.cli.mesh import Mesh
from libs.common.clock import SystemClock
from libs.common.ids import new_id

STORY_SECONDS = 150


async def tell(mesh: Mesh, wish: Wish) -> Outcome:
    """The demo's story on a running mesh; fails with the orders that did not make it and why."""
    stage = Stage(Console(stderr=True), SystemClock())
    goods = draw_goods(wish.seed, wish.orders, tag=new_id("run")[-6:])
    async with Story(mesh, wish, goods, stage) as story:
        try:
            async with asyncio.timeout(STORY_SECONDS):
                await story.run()
        except TimeoutError:
            pytest.fail("\n".join(await story.reasons(limit=10)))
        return story.outcome
