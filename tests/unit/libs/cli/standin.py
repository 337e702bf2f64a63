"""A process that stands in for a server: listens, tells that it was asked to stop, can be stubborn or short-lived.

standin.py PORT [deaf] [crash]
"""

import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    port, *manners = sys.argv[1:]
    if "crash" in manners:
        sys.stderr.write("no such table: orders\n")
        sys.exit(3)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))

    def asked_to_stop(number: int, frame: object) -> None:
        if "deaf" in manners:
            return
        with Path("stopped.txt").open("a") as file:
            file.write(port + "\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, asked_to_stop)
    listener.listen()
    while True:
        listener.accept()[0].close()


main()
