"""Free ports on the loopback address; open it when a process of the mesh cannot listen."""

import socket
import sys

LOOPBACK = "127.0.0.1"
CAN_HOLD: bool = sys.platform == "linux"


class PortTaken(Exception):
    """Something else listens on the port that was asked for."""


class HeldPort:
    """A port that stays ours while the process behind it is away.

    The socket is bound and never listens. On Linux another socket with SO_REUSEADDR may then bind and listen,
    which all our servers do, while the system gives the port to nobody who asks for any. Elsewhere the port
    is let go at once and could be lost to another program, which is rare.
    """

    def __init__(self, number: int, holder: socket.socket | None) -> None:
        self.number = number
        self._holder = holder

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.number}"

    def release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def hold_port(wanted: int = 0) -> HeldPort:
    """`wanted`, or any free port for 0. Raises PortTaken."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if wanted:
            # A server that stopped a moment ago leaves connections behind that would keep the port from us.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, wanted))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        holder.close()
        raise PortTaken(f"port {wanted} is taken ({error.strerror})") from error
    number: int = holder.getsockname()[1]
    if CAN_HOLD:
        return HeldPort(number, holder)
    holder.close()
    return HeldPort(number, None)
