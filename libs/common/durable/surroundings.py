"""What a service takes from outside itself: time, ids, chance and connections. Open it to hand in something else.

The composition roots take one `Surroundings`; a simulation brings its own, and so replays a run from its seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc.aio

from libs.common.clock import Clock, SystemClock
from libs.common.config import ProcessSettings
from libs.common.ids import NewId, new_id
from libs.common.rpc.channel import open_channel

OpenChannel = Callable[[str, ProcessSettings, str], grpc.aio.Channel]
"""Target, settings and name of the calling process to a channel that connects when first used."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine's own, unless said otherwise."""

    clock: Clock = field(default_factory=SystemClock)
    make_id: NewId = new_id
    draw: Callable[[], float] = random.random
    """Uniform in [0, 1): the jitter of repetitions."""
    open_channel: OpenChannel = open_channel


REAL = Surroundings()
