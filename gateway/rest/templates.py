"""Path templates of google.api.http: parsed, matched against the path of a request, filled in.

Template = "/" Segments [ ":" Verb ] ; Segment = "*" | "**" | literal | "{" field path [ "=" Segments ] "}" ;
`*` is one segment that is not empty, `**` is any number of them and comes last.
Source: google/api/http.proto, "Path template syntax".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

ONE, REST = "*", "**"
_PIECE = re.compile(r"\{[^{}]*\}|[^/{}]+")
_FIELD_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_LITERAL = re.compile(r"[\w\-.~%!$&'()+,;=@]+")
_ESCAPED_SLASH = re.compile(r"%(2[Ff])")


@dataclass(frozen=True)
class Variable:
    """A field of the request, by its dotted path, and the segments [start, end) of the template that give its value."""

    field: str
    start: int
    end: int


@dataclass(frozen=True)
class Template:
    """A parsed template. `verb` is "" when there is none."""

    segments: tuple[str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Parse the text of a rule. Raises ValueError that tells the text."""
        body, colon, verb = text.rpartition(":")
        if not colon or "/" in verb or "}" in verb:
            body, verb = text, ""
        pieces = _PIECE.findall(body)
        if f"/{'/'.join(pieces)}" != body or (colon and not verb and body != text):
            raise ValueError(f"{text!r} is no path template")
        segments: list[str] = []
        variables: list[Variable] = []
        for piece in pieces:
            inner = [piece]
            if piece.startswith("{"):
                field, _, pattern = piece[1:-1].partition("=")
                inner = (pattern or ONE).split("/")
                variables.append(Variable(field, len(segments), len(segments) + len(inner)))
            segments += inner
        made = cls(tuple(unquote(segment) for segment in segments), tuple(variables), verb)
        if not made._is_sound(segments):
            raise ValueError(f"{text!r} is no path template")
        return made

    def _is_sound(self, raw: Sequence[str]) -> bool:
        fields = [variable.field for variable in self.variables]
        return (
            all(_FIELD_PATH.fullmatch(field) for field in fields)
            and len(set(fields)) == len(fields)
            and all(segment in (ONE, REST) or _LITERAL.fullmatch(segment) for segment in raw)
            and REST not in self.segments[:-1]
        )

    @property
    def rank(self) -> tuple[bool, tuple[int, ...]]:
        """Sorts templates so that of two that match one path the more exact comes first."""
        kinds = {ONE: 1, REST: 2}
        return not self.verb, tuple(kinds.get(segment, 0) for segment in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """The variables that `path` (percent-encoded, without the query) gives; None when it does not match.

        Raises ValueError when a value is not UTF-8.
        """
        parts = path[1:].split("/") if path != "/" else []
        if self.verb:
            if not parts or not parts[-1].endswith(":" + self.verb):
                return None
            parts[-1] = parts[-1].removesuffix(":" + self.verb)
        is_open = self.segments[-1:] == (REST,)
        fixed = len(self.segments) - is_open
        if not path.startswith("/") or len(parts) < fixed or (len(parts) > fixed and not is_open):
            return None
        if not all(_fits(*pair) for pair in zip(self.segments, parts, strict=False)):
            return None
        return {variable.field: self._value(variable, parts) for variable in self.variables}

    def _value(self, variable: Variable, parts: Sequence[str]) -> str:
        pattern = self.segments[variable.start : variable.end]
        if pattern == (ONE,):
            return unquote(parts[variable.start], errors="strict")
        chosen = parts[variable.start : None if REST in pattern else variable.end]
        # A slash that a client escaped belongs to its segment: it stays escaped.
        return "/".join(unquote(_ESCAPED_SLASH.sub(r"%25\1", part), errors="strict") for part in chosen)

    def expand(self, values: Mapping[str, str]) -> str:
        """The path for these values of the variables, each one segment."""
        named = {variable.start: quote(values[variable.field], safe="") for variable in self.variables}
        return self._joined(named)

    def __str__(self) -> str:
        """The template for people and OpenAPI: "/assets/{name}/content", every wildcard under its field's last name."""
        named = {}
        for variable in self.variables:
            for index in range(variable.start, variable.end):
                if self.segments[index] in (ONE, REST):
                    named[index] = "{" + variable.field.rpartition(".")[2] + "}"
        return self._joined(named)

    def _joined(self, named: Mapping[int, str]) -> str:
        parts = [named.get(index, segment) for index, segment in enumerate(self.segments)]
        return "/" + "/".join(parts) + (f":{self.verb}" if self.verb else "")


def _fits(pattern: str, part: str) -> bool:
    if pattern == ONE:
        return bool(part)
    return pattern == REST or unquote(part) == pattern
