"""Uploads by the client while services are killed: each goes on where it was cut, and is the file that was sent."""

import contextlib
import hashlib
import random
import threading
from pathlib import Path

from api_gpu import Client
from tests.chaos.services import KEY, Services
from tests.chaos.tenants import asked

# As many as the client goes on with, and some more.
FILE_BYTES = 9 * 1024 * 1024 + 7


class Uploads:
    """Sends files one after the other on a thread of its own, each to a gateway by chance, and waits at the end of the
    block until all are there; `found` has the digests by the names of the assets."""

    def __init__(self, services: Services, folder: Path, files: int, seed: int) -> None:
        self._services, self._folder, self._files = services, folder, files
        self._chance = random.Random(seed)
        self._thread = threading.Thread(target=self._run)
        self._errors: list[Exception] = []
        self.found: dict[str, str] = {}

    def __enter__(self) -> "Uploads":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        path = self._folder / "upload.bin"
        try:
            for _ in range(self._files):
                path.write_bytes(self._chance.randbytes(FILE_BYTES))
                with self._client() as client:
                    asset = client.upload(path)
                self.found[asset.name] = hashlib.sha256(path.read_bytes()).hexdigest()
                assert asset.sha256 == self.found[asset.name]
        except Exception as error:
            self._errors.append(error)

    def _client(self) -> contextlib.AbstractContextManager[Client]:
        folder = self._services.certificates
        files = (folder / "ca.crt", folder / "client.crt", folder / "client.key")
        target = self._chance.choice(self._services.targets)
        return Client.connect(target, KEY, *files, reconnect_seconds=120.0)

    def check(self) -> None:
        """All were sent, and are what was sent."""
        assert self._errors == []
        assert len(self.found) == self._files
        for name, sha256 in self.found.items():
            content = asked(self._services, "GET", f"/{name}/content", self._chance, KEY).content
            assert hashlib.sha256(content).hexdigest() == sha256
