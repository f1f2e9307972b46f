"""No child of a running pair has a key in its environment or on its command line, other than the service it is for."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from api_gpu import Client
from tests.support import media
from tests.support.until import until_sync
from tools import pair

# What an operator may have in his environment, and who needs it.
PLANTED = {
    "X_API_KEY": ("planted-key", ("gateway",)),
    "LINK_SECRET": ("planted-secret-of-links", ("gateway",)),
    "AWS_SECRET_ACCESS_KEY": ("planted-key-of-a-cloud", ("gateway",)),
    "GITHUB_TOKEN": ("planted-token-of-the-shell", ("gateway",)),
    "SESSION_TOKEN": ("planted-session-token", ("gateway", "encoder")),
}
NATS, FFMPEG, SERVICES = "nats-server", "ffmpeg", ("gateway", "encoder")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pair.Pair]:
    """A pair that works at something for longer than the tests take."""
    folder = tmp_path_factory.mktemp("planted")
    image = media.image(folder / "image.png")
    with pair.running(folder / "pair", **{name: value for name, (value, _) in PLANTED.items()}) as started:
        files = (started.certificates / name for name in ("ca.crt", "client.crt", "client.key"))
        with Client.connect(started.target, PLANTED["X_API_KEY"][0], *files) as client:
            job = client.img2vid([image], 600)
            yield started
            job.cancel()


def family(started: pair.Pair) -> dict[int, psutil.Process]:
    return {each.pid: each for each in psutil.Process(started.process.pid).children(recursive=True)}


def role(process: psutil.Process) -> str:
    """What a process is: one of the services, or the name of its program."""
    words = process.cmdline()
    return next((name for name in SERVICES if name in words), Path(words[0]).name if words else "")


def test_only_the_services_have_keys(busy: pair.Pair) -> None:
    seen: dict[str, dict[str, str]] = {}

    def all_roles() -> bool:
        for process in family(busy).values():
            try:
                seen[f"{role(process)} {process.pid}"] = process.environ() | {"argv": " ".join(process.cmdline())}
            except psutil.Error:
                continue
        return all(any(name.startswith(each) for name in seen) for each in (*SERVICES, NATS, FFMPEG))

    until_sync(all_roles)
    for name, environment in seen.items():
        for value, entitled in PLANTED.values():
            has = [key for key, text in environment.items() if value in text]
            assert not has or (name.split()[0] in entitled and "argv" not in has), (name, has)
