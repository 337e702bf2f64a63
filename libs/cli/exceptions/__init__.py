"""`ordermesh exceptions`: the queue of what a person must look at, and what to do about it.

seeing.py       list, show, preview, reveal
deciding.py     replay, replay-many, discard, edit, assign, comment, approve
stewarding.py   accept, reject, candidates, link, keep-apart
selection.py    which items a command acts on, one after the other
tables.py       how items, differences and histories are shown
"""

import typer

from libs.cli.exceptions.deciding import approve, assign, comment, discard, edit, replay, replay_many
from libs.cli.exceptions.seeing import list_items, preview, reveal, show
from libs.cli.exceptions.stewarding import accept, candidates, keep_apart, link, reject


def build() -> typer.Typer:
    """The group of subcommands."""
    group = typer.Typer(help="The exception queue: see, replay, edit, assign, decide.", no_args_is_help=True)
    group.command("list")(list_items)
    for command in (show, preview, reveal, replay, replay_many, edit, assign, comment, discard, approve):
        group.command()(command)
    for decision in (accept, reject, candidates, link, keep_apart):
        group.command()(decision)
    return group
