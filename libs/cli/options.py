"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Data directory of the mesh. Default: the one of this directory, or started last."
    ),
]
TenantOption = Annotated[str, typer.Option("--tenant", help="Tenant to look at.")]
