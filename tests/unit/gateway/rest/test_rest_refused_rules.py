"""Rules of google.api.http that cannot be served are refused when the table of routes is built, with the reason."""

import itertools

import pytest
from google.api import annotations_pb2, http_pb2, httpbody_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, text_format, timestamp_pb2

from gateway.rest.routes import RouteTable

NAMES = (f"refused{number}" for number in itertools.count())
FIELD = descriptor_pb2.FieldDescriptorProto
DEPENDENCIES = (annotations_pb2, httpbody_pb2, timestamp_pb2)


class Proto:
    """A file with one service, written when its descriptor is asked for."""

    def __init__(self, syntax="proto3"):
        self.package = f"tests.{next(NAMES)}"
        self.file = descriptor_pb2.FileDescriptorProto(
            name=f"{self.package}.proto",
            package=self.package,
            syntax=syntax,
            dependency=[module.DESCRIPTOR.name for module in DEPENDENCIES],
        )
        request = self.message("Request", id="string", number="int32", ids="repeated string", data="bytes")
        part = self.message("Part", text="string", inner=".Part")
        self.add(part, "time", ".google.protobuf.Timestamp")
        for name, kind in (("part", ".Part"), ("parts", "repeated .Part"), ("raw", ".google.api.HttpBody")):
            self.add(request, name, kind)
        request.oneof_decl.add(name="pick")
        for name, kind in (("a", "string"), ("b", "string"), ("c", ".Part")):
            self.add(request, name, kind).oneof_index = 0
        self.service = self.file.service.add(name="Things")

    def message(self, message_name, **fields):
        made = self.file.message_type.add(name=message_name)
        for name, kind in fields.items():
            self.add(made, name, kind)
        return made

    def add(self, message, name, kind):
        label, _, of = kind.rpartition(" ")
        field = message.field.add(name=name, number=len(message.field) + 1)
        field.label = {"repeated": FIELD.LABEL_REPEATED, "required": FIELD.LABEL_REQUIRED}.get(label, 1)
        if of.startswith("."):
            field.type = FIELD.TYPE_MESSAGE
            field.type_name = of if of.startswith(".google") else f".{self.package}{of}"
        else:
            field.type = FIELD.Type.Value(f"TYPE_{of.upper()}")
        return field

    def method(self, rule, request="Request", response="Request", **streams):
        made = self.service.method.add(name=f"Do{len(self.service.method)}", **streams)
        made.input_type, made.output_type = (
            name if name.startswith(".") else f".{self.package}.{name}" for name in (request, response)
        )
        made.options.Extensions[annotations_pb2.http].CopyFrom(text_format.Parse(rule, http_pb2.HttpRule()))
        return self

    def table(self):
        pool = descriptor_pool.Default()
        pool.AddSerializedFile(self.file.SerializeToString())
        return RouteTable([pool.FindServiceByName(f"{self.package}.Things")])


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ('body: "*"', "has no path"),
        ('get: "x"', "is no path template"),
        ('get: "/x//y"', "is no path template"),
        ('get: "/{id=**}/x"', "is no path template"),
        ('get: "/x/{id}/{id}"', "is no path template"),
        ('get: "/x" body: "*"', "has a body, which GET requests have not"),
        ('get: "/x" body: "part"', "has a body, which GET requests have not"),
        ('custom: { kind: "HEAD" path: "/x" } body: "*"', "has a body, which HEAD requests have not"),
        ('custom: { kind: "FETCH" path: "/x" }', "has the method 'FETCH'"),
        ('custom: { kind: "report" path: "/x" }', "has the method 'report'"),
        ('custom: { kind: "CONNECT" path: "/x" }', "has the method 'CONNECT'"),
        ('get: "/files/{id}"', "begins with /files, which is taken"),
        ('get: "/openapi.json"', "begins with /openapi.json, which is taken"),
        ('post: "/x" body: "nope"', "has the body 'nope', which is no field of"),
        ('post: "/x" body: "part.text"', "has the body 'part.text', which is no field of"),
        ('post: "/x" body: "raw"', "has a google.api.HttpBody"),
        ('get: "/x" response_body: "nope"', "has the response_body 'nope', which is no field of"),
        ('get: "/x" response_body: "raw"', "has a google.api.HttpBody"),
        ('get: "/x/{nope}"', "has the variable nope, which is no field of"),
        ('get: "/x/{part.nope}"', "has the variable part.nope, which is no field of"),
        ('get: "/x/{parts.text}"', "has the variable parts.text, which is no field of"),
        ('get: "/x/{part.time.seconds}"', "has the variable part.time.seconds, which is no field of"),
        ('get: "/x/{ids}"', "has the variable ids, whose field is no single scalar"),
        ('get: "/x/{part}"', "has the variable part, whose field is no single scalar"),
        ('get: "/x/{part.time}"', "has the variable part.time, whose field is no single scalar"),
        ('get: "/x/{number=**}"', "has the variable number for several segments, whose field is no string"),
        ('get: "/x/{number=a/*}"', "has the variable number for several segments, whose field is no string"),
        (f'get: "/x/{{{"part." + "inner." * 70}text}}"', "which is nested too deep"),
        ('get: "/x/{a}/{b}"', "sets two members of the oneof pick: a and b"),
        ('get: "/x/{a}/{c.text}"', "sets two members of the oneof pick: a and c"),
        ('post: "/x/{a}" body: "c"', "sets two members of the oneof pick: a and c"),
        (
            'get: "/x" additional_bindings: { get: "/y" additional_bindings: { get: "/z" } }',
            "is an additional binding, and has additional bindings itself",
        ),
        ('get: "/x" additional_bindings: { get: "/y/{nope}" }', "get /y/{nope} has the variable nope"),
    ],
)
def test_a_rule_that_cannot_be_served(rule, error):
    proto = Proto().method(rule)
    with pytest.raises(ValueError) as caught:
        proto.table()
    assert str(caught.value).startswith(f"{proto.package}.Things.Do0: the rule ")
    assert error in str(caught.value)


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_body_without_form_is_refused(side):
    with pytest.raises(ValueError, match=r"has a google\.api\.HttpBody"):
        Proto().method('post: "/x" body: "*"', **{side: ".google.api.HttpBody"}).table()


def test_required_fields_are_refused():
    proto = Proto("proto2")
    proto.message("Old", inner=".Inner")
    proto.message("Inner", must="required string")
    with pytest.raises(ValueError, match=r"has a required field, .*\.Inner\.must"):
        proto.method('post: "/x" body: "*"', request="Old").table()


UPLOAD = 'put: "/x" body: "data"'


@pytest.mark.parametrize(
    ("rule", "fields", "streams", "error"),
    [
        ('post: "/x" body: "*"', {}, "client_streaming server_streaming", "only a field of bytes can be the body"),
        ('post: "/x" body: "*"', {}, "client_streaming", "only a field of bytes can be the body"),
        (UPLOAD, {"data": "bytes"}, "client_streaming", "without a oneof of data, header and finish"),
        (
            UPLOAD,
            {"data": "bytes", "header": ".Part", "finish": ".Part"},
            "client_streaming",
            "without a oneof of data",
        ),
        (
            'put: "/x/{finish.size_bytes}" body: "data"',
            {"data": "bytes", "header": ".Head", "finish": ".Head"},
            "client_streaming",
            "has a variable that is no field of header",
        ),
        (
            'get: "/x" response_body: "data"',
            {"data": "bytes", "part": ".Part"},
            "server_streaming",
            "beside part, which",
        ),
        ('get: "/x" response_body: "data"', {"data": "bytes", "id": "string"}, "server_streaming", "beside id, which"),
    ],
)
def test_streams_that_cannot_be_served(rule, fields, streams, error):
    proto = Proto()
    proto.message("Head", size_bytes="int64", sha256="string")
    made = proto.message("Stream", **fields)
    made.oneof_decl.add(name="part_of")
    for field in made.field:
        field.oneof_index = 0
    if not made.field:
        del made.oneof_decl[:]
    with pytest.raises(ValueError) as caught:
        proto.method(rule, "Stream", "Stream", **dict.fromkeys(streams.split(), True)).table()
    assert error in str(caught.value)


def test_two_rules_for_the_same_requests_are_refused():
    with pytest.raises(ValueError, match=r"Do0 and .*Do1: both have the rule GET /x/{number}"):
        Proto().method('get: "/x/{id}"').method('get: "/x/{number}"').table()
    with pytest.raises(ValueError, match="both have the rule"):
        Proto().method('get: "/x/{id}" additional_bindings: { get: "/x/{id=*}" }').table()


def test_what_is_like_what_is_refused_is_served():
    table = (
        Proto()
        .method('get: "/x/{id}" additional_bindings: { get: "/x/{id}/{part.inner.text}" }')
        .method('delete: "/x/{id}"')
        .method('get: "/y/{id=**}" additional_bindings: { get: "/y/*" } additional_bindings: { get: "/file" }')
        .method('post: "/x/{a}" body: "part"')
        .method('post: "/y" body: "parts" response_body: "ids"')
        .method('custom: { kind: "*" path: "/x/{id}" }')
        .table()
    )
    assert table.find("GET", "/y/a")[0].method.name == "Do2"
    assert table.find("GET", "/x/a")[0].method.name == "Do0"
    assert table.find("PURGE", "/x/a")[0].method.name == "Do5"


def test_a_method_without_a_rule_has_no_route():
    proto = Proto().method('get: "/x"')
    proto.service.method[0].ClearField("options")
    assert proto.table().routes == []
