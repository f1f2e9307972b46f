"""Uploads by form (`curl -F file=@talk.mp4`), as a stream: nothing of the file is kept here. Source: RFC 7578."""

import itertools
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

from gateway.rest.status import UnsupportedMedia
from servicekit import media_types
from servicekit.errors import InvalidArgument

# The parser warns of each thing that is wrong with a form; whoever sent it is told.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

FORM = "multipart/form-data"
# Parts of a form: the file, and a few fields beside it.
MAX_PARTS = 16
MAX_FIELD_BYTES = 4096
# What may come before the file, fields and their heads.
MAX_BYTES_BEFORE_FILE = 64 * 1024


class BadForm(InvalidArgument, reason="BAD_FORM"):
    """The body is no form with one file in it."""


def is_form(headers: Headers) -> bool:
    """Return True for a body that is a form with files."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def boundary_of(headers: Headers) -> bytes:
    """Return the boundary in Content-Type. Raises BadForm."""
    boundary = parse_options_header(headers.get("content-type", ""))[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise BadForm("Content-Type of a form needs a `boundary` of 1 to 70 characters.")
    return boundary


@dataclass
class Part:
    """A part of a form: a field, or with a `filename` a file, of which `charset` may be said. `data` is what came of a
    field, or just now of a file."""

    name: str = ""
    filename: str | None = None
    charset: str = ""
    data: bytearray = field(default_factory=bytearray)


@dataclass
class FormParser:
    """Parses a form as it comes. `parts` has the parts so far, the last one perhaps not whole yet."""

    parser: MultipartParser = field(init=False)
    parts: list[Part] = field(default_factory=list)
    is_whole: bool = False
    _header: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])

    @classmethod
    def of(cls, boundary: bytes) -> "FormParser":
        """Return the parser of a form with this boundary."""
        form = cls()
        callbacks: Any = {
            "on_part_begin": form._begin,
            "on_header_begin": form._begin_header,
            "on_header_field": lambda data, start, end: form._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: form._header[1].extend(data[start:end]),
            "on_header_end": form._end_header,
            "on_part_data": form._data,
            "on_end": form._end_form,
        }
        form.parser = MultipartParser(boundary, callbacks)
        return form

    def feed(self, data: bytes) -> None:
        """Parse the next bytes. Raises BadForm."""
        try:
            self.parser.write(data)
        except FormParserError as error:
            raise BadForm("The form cannot be parsed; send it as browsers and curl -F do.") from error

    @property
    def file(self) -> Part | None:
        """Return the file, if it has begun."""
        return next((part for part in self.parts if part.filename is not None), None)

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise BadForm(f"The form has over {MAX_PARTS} parts; send one file, and few fields.")
        self.parts.append(Part())

    def _begin_header(self) -> None:
        self._header = [bytearray(), bytearray()]

    def _end_header(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-type":
            self.parts[-1].charset = media_types.charset(value.decode("latin-1"))
        if bytes(name).lower() != b"content-disposition":
            return
        options = parse_options_header(value.decode("latin-1"))[1]
        part, filename = self.parts[-1], options.get(b"filename")
        part.name = options.get(b"name", b"").decode(errors="replace")
        # Browsers and curl escape what would end the quotes.
        part.filename = None if filename is None else filename.decode(errors="replace").replace("%22", '"')
        if sum(part.filename is not None for part in self.parts) > 1:
            raise BadForm("The form has several files; send one at a time.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.data += memoryview(data)[start:end]
        if part.filename is None and len(part.data) > MAX_FIELD_BYTES:
            raise BadForm(f"A field of the form is over {MAX_FIELD_BYTES} bytes; a file needs a file name.")

    def _end_form(self) -> None:
        self.is_whole = True


class FormUpload:
    """The file of a form: `begin` reads up to it, `chunks` yields its bytes, then `late_fields` has what followed."""

    def __init__(self, headers: Headers, body: AsyncIterator[bytes]) -> None:
        """Read the form in `body`. Raises BadForm, UnsupportedMedia."""
        if not is_form(headers):
            raise UnsupportedMedia(f"Of forms only {FORM} is read here.")
        self._form = FormParser.of(boundary_of(headers))
        self._body = body

    @property
    def filename(self) -> str:
        """Return the name of the file, as its owner calls it."""
        return (self._form.file.filename if self._form.file else None) or ""

    @property
    def charset(self) -> str:
        """Return the encoding that its owner says a text file has."""
        return self._form.file.charset if self._form.file else ""

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields before the file that are not empty."""
        return self._fields(itertools.takewhile(lambda part: part.filename is None, self._form.parts))

    @property
    def late_fields(self) -> dict[str, str]:
        """Return the fields behind the file that are not empty."""
        return self._fields(itertools.dropwhile(lambda part: part.filename is None, self._form.parts))

    @staticmethod
    def _fields(parts: Iterable[Part]) -> dict[str, str]:
        given = ((part.name, part.data.decode(errors="replace").strip()) for part in parts if part.filename is None)
        return {name: text for name, text in given if text}

    async def begin(self) -> None:
        """Read until the file begins. Raises BadForm for a form without one, and what the body raises."""
        size_bytes = 0
        async for data in self._body:
            self._form.feed(data)
            size_bytes += len(data)
            if self._form.file is not None:
                return
            if size_bytes > MAX_BYTES_BEFORE_FILE:
                break
        raise BadForm("The form has no file; send it as a part with a file name, like curl -F file=@talk.mp4.")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file, up to the end of the form. Raises BadForm, and what the body raises."""
        if data := self._take():
            yield data
        async for data in self._body:
            self._form.feed(data)
            if data := self._take():
                yield data
        if not self._form.is_whole:
            raise BadForm("The form ends in the middle; send it again.")

    def _take(self) -> bytes:
        file = self._form.file
        if file is None or not file.data:
            return b""
        data, file.data = bytes(file.data), bytearray()
        return data
