import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.rest.routes import RouteTable, endpoints
from gateway.rest.status import MethodNotAllowed
from servicekit.errors import InvalidArgument, NotFound

TABLE = RouteTable()


@pytest.mark.parametrize(
    ("http_method", "path", "rpc", "variables"),
    [
        ("GET", "/", "SystemService/GetInfo", {}),
        ("HEAD", "/", "SystemService/GetInfo", {}),
        ("GET", "/health", "SystemService/GetHealth", {}),
        ("GET", "/runpod/health", "SystemService/GetRunpodHealth", {}),
        ("GET", "/runpod/config", "SystemService/GetRunpodConfig", {}),
        ("POST", "/video/caption", "VideoService/Caption", {}),
        ("POST", "/video/img2vid", "VideoService/Img2Vid", {}),
        ("POST", "/video/addaudio", "VideoService/AddAudio", {}),
        ("POST", "/video/adicionaaudio", "VideoService/AddAudio", {}),
        ("POST", "/jobs", "JobService/SubmitJob", {}),
        ("GET", "/jobs", "JobService/ListJobs", {}),
        ("GET", "/job/7", "JobService/GetJob", {"id": "7"}),
        ("GET", "/jobs/7", "JobService/GetJob", {"id": "7"}),
        ("POST", "/job/7/cancel", "JobService/CancelJob", {"id": "7"}),
        ("POST", "/jobs/7/cancel", "JobService/CancelJob", {"id": "7"}),
        ("GET", "/job/7/watch", "JobService/WatchJob", {"id": "7"}),
        ("GET", "/jobs/7/watch", "JobService/WatchJob", {"id": "7"}),
        ("PUT", "/assets", "AssetService/UploadAsset", {}),
        ("POST", "/assets", "AssetService/UploadAsset", {}),
        ("PUT", "/assets/a.mp4", "AssetService/UploadAsset", {"header.filename": "a.mp4"}),
        ("GET", "/assets/7", "AssetService/GetAsset", {"name": "assets/7"}),
        ("DELETE", "/assets/7", "AssetService/DeleteAsset", {"name": "assets/7"}),
        ("GET", "/assets/7/content", "AssetService/DownloadAsset", {"name": "assets/7"}),
    ],
)
def test_every_public_route(http_method, path, rpc, variables):
    route, found = TABLE.find(http_method, path)
    assert route.rpc_path == f"/apigpu.v1.{rpc}"
    assert found == variables


@pytest.mark.parametrize("route", TABLE.routes, ids=str)
def test_slashes_around_a_path_are_ignored(route):
    path = route.template.show(dict.fromkeys(route.template.wildcards, "7"))
    found = TABLE.find(route.http_method, path)
    assert found[0] is route
    if path != "/":
        for other in (f"{path}/", f"/{path}", f"//{path}/"):
            assert TABLE.find(route.http_method, other) == found


def test_every_binding_is_listed():
    listed = endpoints()
    assert len(listed) == len(set(listed)) == len(TABLE.routes) + 7
    assert {"GET /", "POST /video/caption", "GET /assets/{asset}", "GET /files/{id}/{filename}"} <= set(listed)


@pytest.mark.parametrize("path", ["/nope", "/job", "/job/", "/job//", "//", "*"])
def test_unknown_path(path):
    with pytest.raises(NotFound, match="nothing at"):
        TABLE.find("GET", path)


@pytest.mark.parametrize(
    ("http_method", "path", "allow"),
    [
        ("DELETE", "/", "GET, HEAD"),
        ("GET", "/video/caption", "POST"),
        ("PATCH", "/jobs", "GET, HEAD, POST"),
        ("POST", "/assets/7", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/assets", "GET, HEAD, POST, PUT"),
    ],
)
def test_wrong_method(http_method, path, allow):
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.find(http_method, path)
    assert caught.value.allow == allow


def test_a_path_that_is_not_utf8():
    with pytest.raises(InvalidArgument, match="UTF-8"):
        TABLE.find("GET", "/job/%ff%fe")


def service(name, **method):
    """A service with one method that has the given rule, built as a descriptor at run time."""
    file = descriptor_pb2.FileDescriptorProto(name=f"tests/{name}.proto", package=f"tests.{name}", syntax="proto3")
    file.dependency.append("google/api/annotations.proto")
    request = file.message_type.add(name="Request")
    request.field.add(name="id", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    made = file.service.add(name="Things").method.add(name="Do")
    made.input_type = made.output_type = f".tests.{name}.Request"
    rule = made.options.Extensions[annotations_pb2.http]
    for key, value in method.items():
        if key == "custom":
            rule.custom.kind, rule.custom.path = value
        else:
            setattr(rule, key, value)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"tests.{name}.Things")


def test_custom_methods():
    table = RouteTable([service("custom", custom=("REPORT", "/x/{id}"))])
    assert table.find("REPORT", "/x/1")[1] == {"id": "1"}
    table = RouteTable([service("anymethod", custom=("*", "/x/{id}"))])
    assert table.find("PURGE", "/x/1")[1] == {"id": "1"}


def test_a_method_of_its_own_goes_before_any_and_head_before_get():
    made = service("order", custom=("*", "/x/{id}"))
    table = RouteTable([made, service("get", get="/x/{id}")])
    assert table.find("GET", "/x/1")[0].http_method == "GET"
    assert table.find("HEAD", "/x/1")[0].http_method == "GET"
    assert table.find("PURGE", "/x/1")[0].http_method == "*"
    table = RouteTable([service("get2", get="/x/{id}"), service("head", custom=("HEAD", "/x/{id}"))])
    assert table.find("HEAD", "/x/1")[0].http_method == "HEAD"
