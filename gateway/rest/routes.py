"""The table of routes: google.api.http rules of the public services, parsed and matched."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message

from apigpu.v1 import assets_pb2, fleet_pb2, jobs_pb2, system_pb2, video_pb2
from gateway.rest.protojson.decode import Descriptor, Field, Method, fields_on, is_bytes
from gateway.rest.protojson.encode import field_json, to_json
from gateway.rest.status import MethodNotAllowed
from servicekit.errors import InvalidArgument, NotFound

ONE, REST = "*", "**"
_PIECE = re.compile(r"\{[^{}]*\}|[^/{}]+")
_FIELD_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_LITERAL = re.compile(r"[\w\-.~%!$&'()+,;=@]+")
_ESCAPED_SLASH = re.compile(r"%(2[Ff])")


@dataclass(frozen=True)
class Variable:
    """A path variable: the dotted path of its field, and the segments [start, end) of the template with its value."""

    field: str
    start: int
    end: int


@dataclass(frozen=True)
class Template:
    """A parsed path template; `verb` is "" without one."""

    segments: tuple[str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Parse the template of a rule. Raises ValueError that quotes it."""
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
        template = cls(tuple(unquote(segment) for segment in segments), tuple(variables), verb)
        if not template._is_valid(segments):
            raise ValueError(f"{text!r} is no path template")
        return template

    def _is_valid(self, raw: Sequence[str]) -> bool:
        fields = [variable.field for variable in self.variables]
        return (
            all(_FIELD_PATH.fullmatch(field) for field in fields)
            and len(set(fields)) == len(fields)
            and all(segment in (ONE, REST) or _LITERAL.fullmatch(segment) for segment in raw)
            and REST not in self.segments[:-1]
        )

    @property
    def rank(self) -> tuple[bool, tuple[int, ...]]:
        """Return a sort key: of two templates that match one path, the more specific comes first."""
        kinds = {ONE: 1, REST: 2}
        return not self.verb, tuple(kinds.get(segment, 0) for segment in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the variables of `path` (percent-encoded, without the query); None if it does not match.

        Raises ValueError for a value that is not UTF-8.
        """
        if path.count("/") < len(self.segments) - 1:
            return None
        parts = path[1:].split("/") if path != "/" else []
        if self.verb:
            if not parts or not parts[-1].endswith(":" + self.verb):
                return None
            parts[-1] = parts[-1].removesuffix(":" + self.verb)
        is_open = self.segments[-1:] == (REST,)
        fixed = len(self.segments) - is_open
        if not path.startswith("/") or len(parts) < fixed or (len(parts) > fixed and not is_open):
            return None
        if not all(_matches(*pair) for pair in zip(self.segments, parts, strict=False)):
            return None
        return {variable.field: self._value(variable, parts) for variable in self.variables}

    def _value(self, variable: Variable, parts: Sequence[str]) -> str:
        pattern = self.segments[variable.start : variable.end]
        if pattern == (ONE,):
            return unquote(parts[variable.start], errors="strict")
        selected = parts[variable.start : None if REST in pattern else variable.end]
        # A slash that the client escaped belongs to its segment and stays escaped.
        return "/".join(unquote(_ESCAPED_SLASH.sub(r"%25\1", part), errors="strict") for part in selected)

    def expand(self, values: Mapping[str, str]) -> str:
        """Return the path for these values of the variables, each one segment."""
        named = {variable.start: quote(values[variable.field], safe="") for variable in self.variables}
        return self._joined(named)

    def __str__(self) -> str:
        """Return the template for people and OpenAPI: "/assets/{name}/content", wildcards named by their field."""
        named = {}
        for variable in self.variables:
            for index in range(variable.start, variable.end):
                if self.segments[index] in (ONE, REST):
                    named[index] = "{" + variable.field.rpartition(".")[2] + "}"
        return self._joined(named)

    def _joined(self, named: Mapping[int, str]) -> str:
        parts = [named.get(index, segment) for index, segment in enumerate(self.segments)]
        return "/" + "/".join(parts) + (f":{self.verb}" if self.verb else "")


def _matches(pattern: str, part: str) -> bool:
    if pattern == ONE:
        return bool(part)
    # An escape has three letters for one byte of the pattern, of which a letter has four at most.
    return pattern in (part, REST) or ("%" in part and len(part) <= 12 * len(pattern) and unquote(part) == pattern)


_FILES = (video_pb2, jobs_pb2, assets_pb2, system_pb2, fleet_pb2)
PUBLIC: list[Descriptor] = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name
SUBMIT_JOB, GET_JOB = _JOBS["SubmitJob"], _JOBS["GetJob"]
_KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
# Names of the requests that SubmitJob takes too.
OPERATIONS = [field.message_type.full_name for field in _KINDS if field.message_type]
# Endpoints of HTTP that are not RPCs.
HTTP_ONLY = ("GET /files/{id}/{filename}", "GET /openapi.json")
ANY = "*"
WHOLE = "*"


@dataclass(frozen=True)
class Route:
    """One binding of an RPC: HTTP method, path, and the fields that the bodies are.

    `body` is "" (none), "*" (the whole request) or a field's name; `response_body` is "" (the whole) or a field's name.
    """

    http_method: str
    template: Template
    method: Method
    body: str
    response_body: str

    @property
    def rpc_path(self) -> str:
        """Return the path of the RPC: "/apigpu.v1.JobService/GetJob"."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @cached_property
    def request_class(self) -> type[Message]:
        return message_factory.GetMessageClass(self.method.input_type)

    @cached_property
    def response_class(self) -> type[Message]:
        return message_factory.GetMessageClass(self.method.output_type)

    @property
    def body_field(self) -> Field | None:
        """Return the request's field that the body is; None for the whole request or no body."""
        return None if self.body in ("", WHOLE) else self.method.input_type.fields_by_name[self.body]

    @property
    def response_field(self) -> Field | None:
        """Return the response's field that the body is; None for the whole response."""
        return self.method.output_type.fields_by_name[self.response_body] if self.response_body else None

    def response_json(self, message: Message) -> Any:
        """Return the response, or the field that the body is, as a JSON value."""
        return to_json(message) if self.response_field is None else field_json(message, self.response_field)

    def __str__(self) -> str:
        return f"{self.http_method} {self.template}"


class RouteTable:
    """Finds the route of a request: of several matches, the most specific one."""

    def __init__(self, services: Iterable[Descriptor] = PUBLIC) -> None:
        self.routes = [route for service in services for method in service.methods for route in routes_of(method)]
        self._by_rank = sorted(self.routes, key=lambda route: route.template.rank)

    def find(self, http_method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the values of its path variables. `path` is percent-encoded, without the query.

        HEAD matches routes of GET. Raises NotFound, MethodNotAllowed, InvalidArgument (not UTF-8).
        """
        method = "GET" if http_method == "HEAD" else http_method
        allowed = set()
        for route in self._by_rank:
            try:
                variables = route.template.match(path)
            except ValueError as error:
                text = f"The path {path} is not UTF-8 once it is decoded; encode it as UTF-8."
                raise InvalidArgument(text, reason="BAD_PATH") from error
            if variables is None:
                continue
            if route.http_method in (method, ANY):
                return route, variables
            allowed.add(route.http_method)
        if allowed:
            raise MethodNotAllowed(http_method, path, allowed)
        raise NotFound(f"There is nothing at {path}; GET / lists the endpoints.", reason="NO_SUCH_PATH")

    def first(self, method: Method) -> Route:
        """Return the primary binding of an RPC."""
        return next(route for route in self.routes if route.method.full_name == method.full_name)


def routes_of(method: Method) -> Iterator[Route]:
    """Yield the bindings of an RPC, the primary one first. Raises ValueError for a rule that cannot be served."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        if pattern := binding.WhichOneof("pattern"):
            http_method, path = pattern.upper(), getattr(binding, pattern)
            if pattern == "custom":
                http_method, path = path.kind, path.path
            yield _validate(Route(http_method, Template.parse(path), method, binding.body, binding.response_body))


def _validate(route: Route) -> Route:
    method = route.method
    for variable in route.template.variables:
        chain = fields_on(method.input_type, variable.field)
        if not chain or chain[-1].is_repeated or chain[-1].message_type is not None:
            raise ValueError(f"{method.full_name}: {variable.field} cannot be a path variable")
    # A client stream can be served only if its body is a bytes field.
    if method.client_streaming and (method.server_streaming or not is_bytes(route.body_field)):
        raise ValueError(f"{method.full_name}: only a bytes field can be the body of a client stream")
    return route


def endpoints() -> list[str]:
    """Return every endpoint of the JSON surface as "METHOD /path", in the order of the protos."""
    return [*(str(route) for route in RouteTable().routes), *HTTP_ONLY]
