"""A TCP relay that cuts its connections after a number of bytes: a bad line between client and gateway."""

import contextlib
import socket
import threading
import time


class Relay:
    """Listens on a free port and passes everything on to `target` (host:port). As a context manager it ends itself."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.cut_after_bytes: int | None = None
        # Cuts once, when so many bytes have gone to the target in all.
        self.cut_after_sent_bytes: int | None = None
        self.refuses = False
        # How fast a connection is, each way; None: as fast as it can.
        self.bytes_per_second: float | None = None
        # Loses what the target answers.
        self.loses_answers = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.refuses:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(self._target)
                except OSError:  # nobody listens there now
                    near.close()
                    continue
                self.connections += 1
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not counted:
                    self.sent_bytes += len(data)
                    if self.cut_after_sent_bytes is not None and self.sent_bytes > self.cut_after_sent_bytes:
                        self.cut_after_sent_bytes = None
                        break
                else:
                    passed += len(data)
                    self.received_bytes += len(data)
                    if self.cut_after_bytes is not None and passed > self.cut_after_bytes:
                        break
                    if self.loses_answers:
                        continue
                if self.bytes_per_second is not None:
                    time.sleep(len(data) / self.bytes_per_second)
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Cut every connection."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
