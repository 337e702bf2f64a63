"""The order service that tells the ERP alone. Open this file to see what is left out when completing is compared.

The peers tell no sales system and feed no stream, so neither does this one; everything else is the product's own. Its
clock can be made to hurry.
"""

from dataclasses import replace
from pathlib import Path

from benchmarks.hurry import HurryingClock
from libs.common.durable.core import App
from libs.common.durable.process import run_service
from libs.common.durable.surroundings import REAL
from services.order import app, reactions
from services.order.config import Settings
from services.order.store import OrderTx

LEFT_OUT = (reactions.CRM, reactions.STREAM)


def build(settings: Settings) -> App[OrderTx]:
    clock = HurryingClock()
    clock.hear()
    return app.build(settings, replace(REAL, clock=clock))


if __name__ == "__main__":
    reactions.HEARS = {
        event: tuple(target for target in heard if target not in LEFT_OUT)
        for event, heard in reactions.HEARS.items()
    }
    run_service("order", Settings, build, Path(app.__file__).parent / "migrations")
