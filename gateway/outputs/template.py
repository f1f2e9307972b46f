"""Keys of results in a bucket, by a template: "s3://media/{metadata.project}/{item}.mp4". Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from gateway.jobs import names
from gateway.jobs.model import Job, ResultFile
from gateway.jobs.outputs import S3
from servicekit.echo import brief
from servicekit.errors import InvalidArgument

FIELD = "output.url"
FIELDS = ("job", "operation", "item", "index", "name", "ext", "metadata.NAME")
METADATA = "metadata."
# Of S3.
BUCKET = re.compile(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9](?:\.[a-z0-9][a-z0-9_-]*[a-z0-9])*")
MAX_BUCKET_CHARACTERS = 63
MAX_KEY_BYTES = 1024
_PART = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class KeyTemplate:
    """A bucket, and the text that keys in it are made of."""

    bucket: str
    text: str

    @classmethod
    def parse(cls, url: str) -> "KeyTemplate":
        """Parse "s3://BUCKET/TEMPLATE". Raises InvalidArgument, which names the field."""
        bucket, _, text = url.removeprefix(S3).partition("/")
        if not is_bucket(bucket):
            raise _refused(f"names no bucket; write s3://BUCKET/KEY, and of {brief(bucket)!r} no bucket can be called")
        if set("{}") & set(_PART.sub("", text)):
            raise _refused("has a brace that belongs to no field; write {item}")
        for name in _PART.findall(text):
            if name not in FIELDS[:-1] and not (name.startswith(METADATA) and name != METADATA):
                known = ", ".join("{" + known + "}" for known in FIELDS)
                raise _refused(f"has the field {{{brief(name)}}}, which there is not; there are {known}")
        return cls(bucket, text)

    def key(self, job: Job, index: int, place: int, result: ResultFile, number: int) -> str:
        """Return the key of a result of a task, which is at `place` among those that are kept: its first one (`number`
        0), or a further one, which stands beside the first unless the template has its name. Raises InvalidArgument."""
        first = result if not number or "{name}" in self.text else names.all_results(job, index)[0]
        key = self._expanded(_values(job, index, place, first.name))
        if number and "{name}" not in self.text:
            key = f"{key.removesuffix(PurePosixPath(key).suffix)}-{result.name}"
        return _checked(key)

    def check(self, job: Job) -> None:
        """Expand it for all results of a job that has not begun. Raises InvalidArgument for what can be no key, and for
        one that two results would have."""
        keys: dict[str, int] = {}
        for place, index in enumerate(job.kept):
            key = _checked(self._expanded(_values(job, index, place, names.result_name(job, index))))
            if key in keys:
                raise _refused(f"gives two results the key {brief(key)!r}; write {{item}} or {{index}} in it")
            keys[key] = index

    def _expanded(self, values: Mapping[str, str]) -> str:
        return _PART.sub(lambda part: _value(part[1], values), self.text)


def is_bucket(text: str) -> bool:
    """Return True for what can be the name of a bucket."""
    return len(text) <= MAX_BUCKET_CHARACTERS and BUCKET.fullmatch(text) is not None


def _values(job: Job, index: int, place: int, name: str) -> dict[str, str]:
    return {
        "job": job.id,
        "operation": job.operation,
        "item": names.result_stem(job, index),
        "index": str(place + 1),
        "name": name,
        "ext": PurePosixPath(name).suffix.removeprefix("."),
        **{METADATA + key: value for key, value in job.metadata},
    }


def _value(name: str, values: Mapping[str, str]) -> str:
    value = values.get(name, "")
    if not value:
        raise _refused(f"has the field {{{brief(name)}}}, and the request gives nothing for it")
    if "/" in value or not value.isprintable():
        raise _refused(
            f"has the field {{{brief(name)}}}, whose value {brief(value)!r} may have no slash or control character"
        )
    return value


def _checked(key: str) -> str:
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise _refused(f"gives the key {brief(key)!r}; no part between slashes may be empty, . or ..")
    if not key.isprintable() or len(key.encode()) > MAX_KEY_BYTES:
        raise _refused(f"gives a key that is not printable, or longer than {MAX_KEY_BYTES} bytes")
    return key


def _refused(text: str) -> InvalidArgument:
    return InvalidArgument.field(FIELD, f"{text}.", reason="BAD_OUTPUT")
