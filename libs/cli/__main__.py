"""The `ordermesh` command. Start here to find the module of a subcommand: it bears the subcommand's name."""

import typer

from libs.cli import exceptions, orders, sealing
from libs.cli.certs import certs
from libs.cli.demo.command import demo
from libs.cli.status import status
from libs.cli.token import token
from libs.cli.up import down, up


def build() -> typer.Typer:
    """The command with all its subcommands."""
    app = typer.Typer(
        name="ordermesh",
        help="Keeps Salesforce and an ERP telling the same story about customers, products, orders and invoices.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in (up, down, status, token, certs, demo):
        app.command()(command)
    app.add_typer(orders.build(), name="orders")
    app.add_typer(exceptions.build(), name="exceptions")
    app.add_typer(sealing.build(), name="seal-keys")
    return app


def main() -> None:
    """Entry point of the console script."""
    build()()


if __name__ == "__main__":
    main()
