"""HTTP within a service: uvicorn in the process's own event loop, and the socket that it listens on."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from servicekit.config import ConfigError


class InnerServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that is bound to a port, the one that a setting names. Raises ConfigError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's delay (40 ms a response) only on sockets whose protocol is TCP by number.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen()
    except OSError as error:
        listener.close()
        text = f"{setting}={port}: cannot listen on {host}:{port}; is the port taken? ({error.strerror})"
        raise ConfigError(text) from error
    return listener
