"""What every command needs of its transaction, whatever it is about. Open this file when you write a service's port.

class OrderTx(CommandTx, Protocol):
    @property
    def orders(self) -> Orders: ...
"""

from datetime import datetime
from typing import Protocol

from libs.common.context import CallContext
from libs.common.ids import NewId


class CommandTx(Protocol):
    """One command's transaction. Time and ids come from it, so that a command that is run again can be compared."""

    @property
    def now(self) -> datetime:
        """UTC; the same for all commands of a commit."""

    @property
    def context(self) -> CallContext:
        """Who commands, for which tenant."""

    @property
    def new_id(self) -> NewId:
        """Makes ids of a kind."""
