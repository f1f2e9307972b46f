"""Secrets in files: NAME_FILE names a file that holds the secret NAME, as Docker and Kubernetes give secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from servicekit.errors import ConfigError

SUFFIX = "_FILE"
# A bundle of TLS is the longest.
MAX_BYTES = 256 * 1024


def read(name: str, path: str) -> str:
    """Return the secret in the file that the setting `name` names, without line ends after it. Raises ConfigError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{name}={path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}={path}: the file must hold text in UTF-8") from error
    if not text.strip() or len(data) > MAX_BYTES:
        raise ConfigError(f"{name}={path}: the file must hold a secret of 1 to {MAX_BYTES} bytes")
    return text


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
