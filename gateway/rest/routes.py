"""The table of routes: google.api.http rules of the public services, parsed and matched."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message

from apigpu.v1 import (
    assets_pb2,
    destinations_pb2,
    fleet_pb2,
    jobs_pb2,
    keys_pb2,
    system_pb2,
    tenants_pb2,
    uploads_pb2,
    usage_pb2,
    video_pb2,
)
from gateway.rest import rules
from gateway.rest.protojson.decode import Descriptor, Field, Method
from gateway.rest.protojson.encode import field_json, to_json
from gateway.rest.rules import ANY
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
        """Return the template for people and OpenAPI: "/assets/{asset}/content"."""
        return self.show(self.wildcards)

    @property
    def wildcards(self) -> dict[int, str]:
        """Return a name for each segment that is a wildcard, by its index.

        A variable that is one wildcard gives its own name. One within a longer pattern is named by the collection it
        stands in ("assets/*": asset), as the variable's value has more than what stands for the wildcard.
        """
        names: dict[int, str] = {}
        for index, segment in enumerate(self.segments):
            if segment in (ONE, REST):
                name = self._wildcard_name(index)
                names[index] = f"{name}_{index}" if name in names.values() else name
        return names

    @property
    def shape(self) -> str:
        """Return the template without names: alike for templates that match the same paths."""
        return self.show(dict.fromkeys(self.wildcards, ""))

    def variable_at(self, index: int) -> Variable | None:
        """Return the variable whose value has the segment, if any."""
        return next((variable for variable in self.variables if variable.start <= index < variable.end), None)

    def _wildcard_name(self, index: int) -> str:
        variable = self.variable_at(index)
        own = variable.field.rpartition(".")[2] if variable else "segment"
        is_whole = variable is not None and variable.end - variable.start == 1
        before = self.segments[index - 1] if index and not is_whole and self.segments[index] == ONE else ""
        return before[:-1] if before.isidentifier() and before.endswith("s") else own

    def show(self, names: Mapping[int, str]) -> str:
        """Return the template with these names for its wildcards."""
        return self._joined({index: "{" + name + "}" for index, name in names.items()})

    def _joined(self, named: Mapping[int, str]) -> str:
        parts = [named.get(index, segment) for index, segment in enumerate(self.segments)]
        return "/" + "/".join(parts) + (f":{self.verb}" if self.verb else "")


def _matches(pattern: str, part: str) -> bool:
    if pattern == ONE:
        return bool(part)
    # An escape has three letters for one byte of the pattern, of which a letter has four at most.
    return pattern in (part, REST) or ("%" in part and len(part) <= 12 * len(pattern) and unquote(part) == pattern)


_FILES = (
    video_pb2,
    jobs_pb2,
    assets_pb2,
    uploads_pb2,
    system_pb2,
    fleet_pb2,
    keys_pb2,
    tenants_pb2,
    usage_pb2,
    destinations_pb2,
)
PUBLIC: list[Descriptor] = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name
SUBMIT_JOB, GET_JOB = _JOBS["SubmitJob"], _JOBS["GetJob"]
GET_ASSET = assets_pb2.DESCRIPTOR.services_by_name["AssetService"].methods_by_name["GetAsset"]
_KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
# Names of the requests that SubmitJob takes too, and the operations that they ask for.
KIND_NAMES = {field.message_type.full_name: field.name for field in _KINDS if field.message_type}
OPERATIONS = list(KIND_NAMES)
# Endpoints of HTTP that are not RPCs.
HTTP_ONLY = (
    *("PATCH /uploads/{upload}", "GET /files/{id}/{filename}", "GET /job/{id}/preview.m3u8", "GET /openapi.json"),
    *("GET /docs", "GET /docs/{page}", "GET /llms.txt"),
)
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
        _check_distinct(self.routes)
        # Of two that match, one for this method goes before one for any, and one for HEAD before that of GET.
        self._by_rank = sorted(self.routes, key=lambda route: (route.template.rank, _rank_of(route.http_method)))

    def find(self, http_method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and the values of its path variables. `path` is percent-encoded, without the query.

        HEAD matches routes of GET. A slash at the end is ignored where nothing is served with it, and so are those that
        the joining of a URL left before the path. Raises NotFound, MethodNotAllowed, InvalidArgument (not UTF-8).
        """
        try:
            return self._find(http_method, path)
        except NotFound:
            bare = "/" + path.removesuffix("/").lstrip("/")
            if bare in (path, "/") or bare.endswith("/"):
                raise
            return self._find(http_method, bare)

    def _find(self, http_method: str, path: str) -> tuple[Route, dict[str, str]]:
        wanted = {http_method, ANY, "GET"} if http_method == "HEAD" else {http_method, ANY}
        allowed = set()
        for route in self._by_rank:
            try:
                variables = route.template.match(path)
            except ValueError as error:
                text = f"The path {path} is not UTF-8 once it is decoded; encode it as UTF-8."
                raise InvalidArgument(text, reason="BAD_PATH") from error
            if variables is None:
                continue
            if route.http_method in wanted:
                return route, variables
            allowed.add(route.http_method)
        if allowed:
            raise MethodNotAllowed(http_method, path, allowed)
        raise NotFound(f"There is nothing at {path}; GET / lists the endpoints.", reason="NO_SUCH_PATH")

    def first(self, method: Method) -> Route:
        """Return the primary binding of an RPC."""
        return next(route for route in self.routes if route.method.full_name == method.full_name)


def _rank_of(http_method: str) -> int:
    return {"GET": 1, ANY: 2}.get(http_method, 0)


def _check_distinct(routes: Iterable[Route]) -> None:
    """Refuse two rules for the same requests, of which one would never be reached."""
    first: dict[tuple[Any, ...], Route] = {}
    for route in routes:
        there = first.setdefault((route.http_method, route.template.segments, route.template.verb), route)
        if there is not route:
            names = f"{there.method.full_name} and {route.method.full_name}"
            raise ValueError(f"{names}: both have the rule {route.http_method} {route.template}")


def routes_of(method: Method) -> Iterator[Route]:
    """Yield the bindings of an RPC, the primary one first. Raises ValueError for a rule that cannot be served."""
    if not method.GetOptions().HasExtension(annotations_pb2.http):
        return
    primary = method.GetOptions().Extensions[annotations_pb2.http]
    for rule in (primary, *primary.additional_bindings):
        try:
            yield _route(method, rule, can_have_more=rule is primary)
        except ValueError as error:
            raise ValueError(f"{method.full_name}: the rule {_shown(rule)} {error}") from error


def _route(method: Method, rule: http_pb2.HttpRule, *, can_have_more: bool) -> Route:
    pattern = rule.WhichOneof("pattern")
    if rule.additional_bindings and not can_have_more:
        raise ValueError("is an additional binding, and has additional bindings itself")
    if pattern is None:
        raise ValueError("has no path")
    http_method, path = pattern.upper(), getattr(rule, pattern)
    if pattern == "custom":
        http_method, path = path.kind, path.path
    route = Route(http_method, Template.parse(path), method, rule.body, rule.response_body)
    rules.check(route)
    return route


def _shown(rule: http_pb2.HttpRule) -> str:
    pattern = rule.WhichOneof("pattern") or "(none)"
    return (
        f"{rule.custom.kind} {rule.custom.path}" if pattern == "custom" else f"{pattern} {getattr(rule, pattern, '')}"
    )


def endpoints() -> list[str]:
    """Return every endpoint of the JSON surface as "METHOD /path", in the order of the protos."""
    return [*(str(route) for route in RouteTable().routes), *HTTP_ONLY]
