"""The order service that tells the ERP alone. Open this file to see what is left out when completing is compared.

The peers tell no sales system and feed no stream, so neither does this one; everything else is the product's own.
"""

from pathlib import Path

from libs.common.durable.process import run_service
from services.order import app, reactions
from services.order.config import Settings

LEFT_OUT = (reactions.CRM, reactions.STREAM)

if __name__ == "__main__":
    reactions.HEARS = {
        event: tuple(target for target in heard if target not in LEFT_OUT)
        for event, heard in reactions.HEARS.items()
    }
    run_service("order", Settings, app.build, Path(app.__file__).parent / "migrations")
