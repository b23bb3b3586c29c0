"""Find loopback ports to listen on, and keep them from one run to the next."""

from __future__ import annotations

import socket
from pathlib import Path

from fixlify.domain.errors import DevstackError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* of the loopback address right now."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def any_free_port() -> int:
    """A port nobody listens on. Somebody may take it before you do: be ready to ask again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def remembered_port(file: Path) -> int | None:
    """The port written in *file* by an earlier run, or None."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def choose_port(server: str, fixed: int | None, *wanted: int | None) -> int:
    """*fixed* where one is demanded, else the first free one of *wanted*, else any.

    Raises:
        DevstackError: The demanded port is taken.
    """
    return port_to_bind(server, fixed, *wanted) or any_free_port()


def port_to_bind(server: str, fixed: int | None, *wanted: int | None) -> int:
    """The same for a socket of our own, where 0 lets the kernel pick one nobody can snatch."""
    if not fixed:
        return next((port for port in wanted if port and is_free(port)), 0)
    if not is_free(fixed):
        raise DevstackError(
            f"port {fixed} for {server} is taken: stop the program that uses it or choose another"
        )
    return fixed
