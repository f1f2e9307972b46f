"""What makes a google.api.http rule impossible to serve; it is refused when the table of routes is built.

Each check raises ValueError, whose text completes "<rule> …". Source: google/api/http.proto. Beyond it, what would be
an error of every request is refused too.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gateway.rest.protojson.decode import MAX_DEPTH, Descriptor, Field, fields_on, is_bytes
from gateway.rest.protojson.encode import OWN_FORM

if TYPE_CHECKING:
    from gateway.rest.routes import Route

# Parts of an upload, and what a download is described by.
HEADER, FINISH = "header", "finish"
HEADER_FIELDS = ("size_bytes", "sha256")
DESCRIPTION_FIELDS = ("filename", "content_type", "size_bytes", "sha256")
# Methods that the HTTP parser knows (llhttp's), but for CONNECT, which is for proxies.
METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "COPY", "LOCK", "UNLOCK", "MOVE", "SEARCH"),
    *("PROPFIND", "PROPPATCH", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY"),
    *("SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "MKCOL", "MKACTIVITY", "LINK", "UNLINK"),
)
ANY = "*"
# First segments of paths that are served by other means than rules.
TAKEN = ("files", "openapi.json", "tasks")
_HTTP_BODY = "google.api.HttpBody"


def check(route: "Route") -> None:
    """Refuse a rule that cannot be served. Raises ValueError."""
    _check_method(route)
    _check_bodies(route)
    for variable in route.template.variables:
        _check_variable(route, variable.field, variable.end - variable.start)
    _check_oneofs(route)
    _check_required(route.method.input_type)
    if route.method.client_streaming:
        _check_upload(route)
    if route.method.server_streaming and is_bytes(route.response_field):
        _check_download(route.response_field)


def _check_method(route: "Route") -> None:
    if route.http_method not in (*METHODS, ANY):
        raise ValueError(f"has the method {route.http_method!r}, which HTTP requests cannot have here")
    if route.http_method in ("GET", "HEAD") and route.body:
        raise ValueError(f"has a body, which {route.http_method} requests have not")
    if route.template.segments[:1] and route.template.segments[0] in TAKEN:
        raise ValueError(f"begins with /{route.template.segments[0]}, which is taken")


def _check_bodies(route: "Route") -> None:
    sides = (
        ("body", route.body if route.body != ANY else "", route.method.input_type),
        ("response_body", route.response_body, route.method.output_type),
    )
    for what, name, descriptor in sides:
        field = descriptor.fields_by_name.get(name) if name else None
        if name and field is None:
            raise ValueError(f"has the {what} {name!r}, which is no field of {descriptor.full_name}")
        for message in (descriptor, field and field.message_type):
            if message is not None and message.full_name == _HTTP_BODY:
                raise ValueError(f"has a {_HTTP_BODY}, which is not served; use a field of bytes")


def _check_variable(route: "Route", path: str, segments: int) -> None:
    chain = fields_on(route.method.input_type, path)
    if not chain or ".".join(field.name for field in chain) != path:
        raise ValueError(f"has the variable {path}, which is no field of {route.method.input_type.full_name}")
    if chain[-1].is_repeated or chain[-1].message_type is not None:
        raise ValueError(f"has the variable {path}, whose field is no single scalar")
    pattern = next(variable for variable in route.template.variables if variable.field == path)
    is_long = segments > 1 or route.template.segments[pattern.start : pattern.end] == ("**",)
    if is_long and chain[-1].type != chain[-1].TYPE_STRING:
        raise ValueError(f"has the variable {path} for several segments, whose field is no string")
    if len(chain) > MAX_DEPTH:
        raise ValueError(f"has the variable {path}, which is nested too deep")


def _check_oneofs(route: "Route") -> None:
    """Refuse a rule that sets two members of one oneof in every request."""
    paths = [variable.field for variable in route.template.variables]
    paths += [route.body] if route.body not in ("", ANY) and not route.method.client_streaming else []
    there: dict[tuple[str, str], str] = {}
    for path in paths:
        for prefix, oneof, member in _members(fields_on(route.method.input_type, path)):
            if there.setdefault((prefix, oneof), member) != member:
                raise ValueError(f"sets two members of the oneof {oneof}: {there[prefix, oneof]} and {member}")


def _members(chain: Sequence[Field]) -> Iterator[tuple[str, str, str]]:
    """Yield where each oneof along a path of fields is, its name, and its member there."""
    prefix = ""
    for field in chain:
        if field.containing_oneof is not None:
            yield prefix, field.containing_oneof.name, field.name
        prefix += field.name + "."


def _check_required(descriptor: Descriptor) -> None:
    """Refuse proto2's required fields: a request without one could not be sent on."""
    waiting, seen = [descriptor], set[str]()
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            if field.is_required:
                raise ValueError(f"has a required field, {field.full_name}, which is not served")
            if field.message_type is not None:
                waiting.append(field.message_type)


def _check_upload(route: "Route") -> None:
    if route.method.server_streaming or not is_bytes(route.body_field):
        raise ValueError("streams requests, of which only a field of bytes can be the body")
    chunk: Any = route.body_field
    members = (
        {field.name: field.message_type for field in chunk.containing_oneof.fields} if chunk.containing_oneof else {}
    )
    header, finish = members.get(HEADER), members.get(FINISH)
    if not (_has_fields(header, HEADER_FIELDS) and _has_fields(finish, HEADER_FIELDS[:1])):
        raise ValueError(f"streams requests without a oneof of {chunk.name}, {HEADER} and {FINISH}, as uploads have")
    if not all(variable.field.startswith(HEADER + ".") for variable in route.template.variables):
        raise ValueError(f"streams requests, and has a variable that is no field of {HEADER}")


def _check_download(chunk: Any) -> None:
    for field in _siblings(chunk):
        if field.name != chunk.name and not _has_fields(field.message_type, DESCRIPTION_FIELDS):
            raise ValueError(f"streams bytes beside {field.name}, which has not {', '.join(DESCRIPTION_FIELDS)}")


def _siblings(field: Field) -> Sequence[Field]:
    """Return the members of the field's oneof."""
    return field.containing_oneof.fields if field.containing_oneof else ()


def _has_fields(message: Descriptor | None, names: Sequence[str]) -> bool:
    known = message.fields_by_name if message is not None and message.full_name not in OWN_FORM else {}
    return all(name in known for name in names)
