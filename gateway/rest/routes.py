"""The public services' google.api.http rules as one table of routes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message

from apigpu.v1 import assets_pb2, fleet_pb2, jobs_pb2, system_pb2, video_pb2
from gateway.rest.fields import Descriptor, Field, Method, fields_on, is_bytes
from gateway.rest.status import MethodNotAllowed
from gateway.rest.templates import Template
from rpc.errors import InvalidArgument, NotFound

PUBLIC: tuple[Descriptor, ...] = (
    video_pb2.DESCRIPTOR.services_by_name["VideoService"],
    jobs_pb2.DESCRIPTOR.services_by_name["JobService"],
    assets_pb2.DESCRIPTOR.services_by_name["AssetService"],
    system_pb2.DESCRIPTOR.services_by_name["SystemService"],
    fleet_pb2.DESCRIPTOR.services_by_name["FleetService"],
)
# Paths that HTTP has and gRPC has not.
HTTP_ONLY = ("GET /files/{id}/{filename}", "GET /openapi.json")
ANY = "*"
WHOLE = "*"


@dataclass(frozen=True)
class Route:
    """One binding: an HTTP method and a path, the RPC behind it, and which fields the bodies are.

    `body` is "" (none), "*" (the whole request) or a field's name; `response_body` is "" (the whole) or a field's name.
    """

    http_method: str
    template: Template
    method: Method
    body: str
    response_body: str

    @property
    def rpc_path(self) -> str:
        """Path of the RPC: "/apigpu.v1.JobService/GetJob"."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @cached_property
    def request_class(self) -> type[Message]:
        """Class of the RPC's request."""
        return message_factory.GetMessageClass(self.method.input_type)

    @cached_property
    def response_class(self) -> type[Message]:
        """Class of the RPC's response."""
        return message_factory.GetMessageClass(self.method.output_type)

    @property
    def body_field(self) -> Field | None:
        """The request's field that the body is; None when it is the whole request or nothing."""
        return None if self.body in ("", WHOLE) else self.method.input_type.fields_by_name[self.body]

    @property
    def response_field(self) -> Field | None:
        """The response's field that the body is; None when it is the whole response."""
        return self.method.output_type.fields_by_name[self.response_body] if self.response_body else None

    def __str__(self) -> str:
        return f"{self.http_method} {self.template}"


class RouteTable:
    """Finds the route of a request; of several that match, the most exact one."""

    def __init__(self, services: Iterable[Descriptor] = PUBLIC) -> None:
        self.routes = [route for service in services for method in service.methods for route in routes_of(method)]
        self._by_rank = sorted(self.routes, key=lambda route: route.template.rank)

    def find(self, http_method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and the values of its path variables. `path` is percent-encoded and has no query.

        HEAD goes where GET goes. Raises NotFound, MethodNotAllowed, InvalidArgument (not UTF-8).
        """
        wanted = "GET" if http_method == "HEAD" else http_method
        allowed = set()
        for route in self._by_rank:
            variables = _matched(route, path)
            if variables is None:
                continue
            if route.http_method in (wanted, ANY):
                return route, variables
            allowed.add(route.http_method)
        if allowed:
            raise MethodNotAllowed(http_method, path, allowed)
        raise NotFound(f"There is nothing at {path}; GET / lists the endpoints.", reason="NO_SUCH_PATH")

    def first(self, method: Method) -> Route:
        """The primary binding of an RPC."""
        return next(route for route in self.routes if route.method.full_name == method.full_name)


def _matched(route: Route, path: str) -> dict[str, str] | None:
    try:
        return route.template.match(path)
    except ValueError as error:
        raise InvalidArgument(f"The path {path} is not UTF-8 once it is decoded; encode it as UTF-8.") from error


def routes_of(method: Method) -> Iterator[Route]:
    """The bindings of an RPC, the primary one first. Raises ValueError for a rule that cannot be served."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        if binding.WhichOneof("pattern"):
            yield _checked(_route(method, binding))


def _route(method: Method, binding: http_pb2.HttpRule) -> Route:
    pattern = binding.WhichOneof("pattern")
    http_method, path = pattern.upper(), getattr(binding, pattern)
    if pattern == "custom":
        http_method, path = path.kind, path.path
    return Route(http_method, Template.parse(path), method, binding.body, binding.response_body)


def _checked(route: Route) -> Route:
    for variable in route.template.variables:
        chain = fields_on(route.method.input_type, variable.field)
        if not chain or chain[-1].is_repeated or chain[-1].message_type is not None:
            raise ValueError(f"{route.method.full_name}: {variable.field} cannot be a path variable")
    if not is_served(route):
        raise ValueError(f"{route.method.full_name}: only a bytes field can be the body of a client stream")
    return route


def is_served(route: Route) -> bool:
    """Whether HTTP can carry the call: a client stream only when its body is the bytes of a field."""
    return not route.method.client_streaming or (is_bytes(route.body_field) and not route.method.server_streaming)


def endpoints() -> list[str]:
    """Every endpoint of the JSON surface, as "METHOD /path", in the order of the protos."""
    return [*(str(route) for route in RouteTable().routes), *HTTP_ONLY]
