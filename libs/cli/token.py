"""`ordermesh token`: one development token, and nothing else, on standard output."""

from datetime import timedelta
from typing import Annotated

import typer

from libs.cli.config import surroundings
from libs.cli.instance import NotRunning, find
from libs.cli.keys import Bearer, token_for
from libs.cli.options import DataOption

HOUR_SECONDS = 3600


def token(
    tenant: Annotated[str, typer.Option("--tenant", help="Tenant the token is for.")] = "acme",
    system: Annotated[str, typer.Option("--system", help="System that calls; empty for a person.")] = "",
    role: Annotated[list[str] | None, typer.Option("--role", help="May be given several times.")] = None,
    subject: Annotated[str, typer.Option("--subject", help="Who calls; default the system's name.")] = "",
    ttl: Annotated[
        int, typer.Option("--ttl", min=1, help="Seconds until it expires, at most 30 days.")
    ] = HOUR_SECONDS,
    data: DataOption = None,
) -> None:
    """Prints a token for the running mesh."""
    around = surroundings()
    bearer = Bearer(tenant, system, tuple(role or ["integration"]), subject or system or "developer")
    try:
        where, _ = find(data, around)
        typer.echo(token_for(where.keys, bearer, around.settings, timedelta(seconds=ttl)))
    except (NotRunning, ValueError) as error:
        typer.echo(f"ordermesh: {error}", err=True)
        raise typer.Exit(1) from error
