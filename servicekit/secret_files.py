"""Secrets in files: NAME_FILE names a file that holds the secret NAME, as Docker and Kubernetes give secrets."""

import errno
import os
import select
from collections.abc import Mapping
from pathlib import Path

from servicekit.errors import ConfigError

SUFFIX = "_FILE"
# A bundle of TLS is the longest.
MAX_BYTES = 256 * 1024
# As long as that a pipe may say nothing.
PIPE_SECONDS = 5.0


def read(name: str, path: str, pipe_seconds: float = PIPE_SECONDS) -> str:
    """Return the secret in the file that the setting `name` names, without line ends after it. Raises ConfigError, also
    for a pipe that says nothing for so long."""
    try:
        data = read_start(Path(path), MAX_BYTES + 1, pipe_seconds)
        text = data.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{name}={path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}={path}: the file must hold text in UTF-8") from error
    except ValueError as error:  # NUL
        raise ConfigError(f"{name}={path!r}: that is no path") from error
    if not text.strip() or len(data) > MAX_BYTES:
        raise ConfigError(f"{name}={path}: the file must hold a secret of 1 to {MAX_BYTES} bytes")
    return text


def read_start(path: Path, max_bytes: int, pipe_seconds: float = PIPE_SECONDS) -> bytes:
    """Return at most so many bytes of the start of a file, which may be a pipe. Raises OSError."""
    if not path.is_fifo():
        with path.open("rb") as file:
            return file.read(max_bytes)
    data = b""
    # Else the start of a service would wait for ever for somebody to write.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        while len(data) < max_bytes:
            if not select.select([pipe], [], [], pipe_seconds)[0]:
                raise TimeoutError(errno.ETIMEDOUT, f"a pipe that has said nothing for {pipe_seconds:g} s")
            part = pipe.read(max_bytes - len(data))
            if not part:
                break
            data += part
    return data


def choose(name: str, values: Mapping[str, str], place: str) -> tuple[str, str] | None:
    """Return which of NAME and NAME_FILE is given in a place, and its value; None where neither is. Raises ConfigError
    where both are."""
    given = [(each, values[each]) for each in (name, name + SUFFIX) if values.get(each)]
    if len(given) > 1:
        raise ConfigError(f"{name} and {name}{SUFFIX} are both set in {place}; set one of them")
    return given[0] if given else None


def from_environment(name: str) -> str | None:
    """Return a secret that the environment holds, or names the file of; None without one. Raises ConfigError."""
    found = choose(name, os.environ, "the environment")
    if found is None:
        return None
    return found[1] if found[0] == name else read(*found)
