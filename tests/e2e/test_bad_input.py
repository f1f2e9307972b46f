"""Bad input gets a clear error, the same on gRPC and JSON; nothing is left behind and the service goes on."""

import hashlib

import grpc
import pytest

from apigpu.v1 import assets_pb2, video_pb2
from apigpu.v1.assets_pb2_grpc import AssetServiceStub
from apigpu.v1.jobs_pb2_grpc import JobServiceStub
from apigpu.v1.video_pb2_grpc import VideoServiceStub
from servicekit.errors import from_rpc
from servicekit.tls import Identity
from tests.e2e.conftest import LIMIT_BYTES
from tests.e2e.test_operations import put
from tests.support.until import until_sync

GOOD_SRT = "1\n00:00:00,000 --> 00:00:01,000\nHello\n"


@pytest.fixture(scope="session")
def strict(strict_pair):
    """Metadata and a channel to the strict pair."""
    certs = strict_pair.certificates
    identity = Identity.read(certs / "client.crt", certs / "client.key", certs / "ca.crt")
    with grpc.secure_channel(strict_pair.target, identity.channel_credentials()) as channel:
        yield channel, (("x-api-key", strict_pair.key),)


@pytest.fixture
def http(strict_pair, http_of):
    return http_of(strict_pair)


def until_nothing_is_left(pair):
    """Wait until the work folders are gone: they go once the call is over."""
    until_sync(lambda: not list((pair.data_dir / "work").glob("task-*")))


# Sources of video and subtitles (content of a file, or a URL, maybe below the web server), HTTP status, words to read.
CASES = {
    "broken srt": ("video.mp4", b"1\nthis is no time\nHello\n", 400, "url_srt: "),
    "empty srt": ("video.mp4", b"", 400, "url_srt: "),
    "blank srt": ("video.mp4", b"\n \n", 400, "url_srt: "),
    "no video": (b"this is a text, not a video" * 50, GOOD_SRT.encode(), 400, "url_video: "),
    "no video stream": ("tone.wav", GOOD_SRT.encode(), 400, "url_video: "),
    "not found": ("nowhere.mp4", GOOD_SRT.encode(), 404, "url_video: "),
    "too slow": ("slow", GOOD_SRT.encode(), 400, "url_video: "),
    "too large by its header": ("huge", GOOD_SRT.encode(), 413, "url_video: "),
    "too large by count": ("endless", GOOD_SRT.encode(), 413, "url_video: "),
    "private": ("http://10.1.2.3/video.mp4", GOOD_SRT.encode(), 403, "FETCH_ALLOW_CIDRS"),
    "metadata service": ("http://169.254.169.254/latest/meta-data", GOOD_SRT.encode(), 403, "FETCH_ALLOW_CIDRS"),
    "redirect inward": ("inward", GOOD_SRT.encode(), 403, "FETCH_ALLOW_CIDRS"),
    "a local file": ("file:///etc/passwd", GOOD_SRT.encode(), 400, "url_video: "),
    "no such asset": ("assets/aaaaaaaaaaaaaaaaaaaaaaaaaa", GOOD_SRT.encode(), 404, "url_video: "),
    "a playlist": (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n", GOOD_SRT.encode(), 400, "url_video: "),
}


@pytest.mark.parametrize("case", CASES)
def test_the_error_is_clear_and_the_same_on_both_ways(case, strict_pair, strict, http, media, web):
    video, srt, status, words = CASES[case]
    body = {"url_video": source(http, media, web, video), "url_srt": source(http, media, web, srt)}
    answer = http.post("/video/caption", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["message"]
    channel, key = strict
    with pytest.raises(grpc.RpcError) as caught:
        VideoServiceStub(channel).Caption(video_pb2.CaptionRequest(**body), metadata=key, timeout=60)
    error = from_rpc(caught.value)
    assert (error.message, error.number) == (answer.json()["message"], answer.json()["code"])
    assert "Traceback" not in error.message
    assert str(strict_pair.data_dir) not in error.message
    until_nothing_is_left(strict_pair)


def source(http, media, web, wanted):
    if isinstance(wanted, bytes):
        path = media.write("bad.bin", wanted)
        return put(http, path)
    return wanted if ":" in wanted or wanted.startswith("assets/") else f"{web}/{wanted}"


def test_after_all_that_the_service_goes_on(strict_pair, http, media):
    body = {"url_video": put(http, media.video), "url_srt": put(http, media.srt)}
    assert http.post("/video/caption", json=body).status_code == 200
    until_nothing_is_left(strict_pair)


def uploaded(strict, *parts):
    channel, key = strict
    requests = [assets_pb2.UploadAssetRequest(**part) for part in parts]
    return AssetServiceStub(channel).UploadAsset(iter(requests), metadata=key, timeout=30)


DATA = b"abc"
SHA256 = hashlib.sha256(DATA).hexdigest()
HEADER = {"header": assets_pb2.UploadHeader(filename="a.bin", size_bytes=3, sha256=SHA256)}
CHUNK = {"chunk": DATA}
FINISH = {"finish": assets_pb2.UploadFinish()}


def test_an_upload_is_kept_when_size_and_digest_are_right(strict):
    assert uploaded(strict, HEADER, CHUNK, FINISH).asset.sha256 == SHA256


def files_in(folder):
    """Files alone: the store makes folders with its first file, and keeps them."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([{"header": assets_pb2.UploadHeader(size_bytes=3, sha256="0" * 64)}, CHUNK, FINISH], "INVALID_ARGUMENT"),
        ([{"header": assets_pb2.UploadHeader(size_bytes=4, sha256=SHA256)}, CHUNK, FINISH], "INVALID_ARGUMENT"),
        ([HEADER, CHUNK], "DATA_LOSS"),
        ([HEADER], "DATA_LOSS"),
        ([CHUNK, FINISH], "INVALID_ARGUMENT"),
        ([HEADER, HEADER], "INVALID_ARGUMENT"),
        ([{"header": assets_pb2.UploadHeader(size_bytes=3)}, CHUNK, FINISH], "INVALID_ARGUMENT"),
        ([HEADER, *[{"chunk": bytes(1 << 20)}] * (LIMIT_BYTES // (1 << 20) + 1), FINISH], "RESOURCE_EXHAUSTED"),
    ],
)
def test_an_upload_that_is_not_whole_is_refused_and_nothing_is_kept(strict, strict_pair, parts, code):
    folder = strict_pair.data_dir / "assets"
    before = files_in(folder)
    with pytest.raises(grpc.RpcError) as caught:
        uploaded(strict, *parts)
    assert caught.value.code().name == code, caught.value.details()
    assert files_in(folder) == before


@pytest.mark.parametrize("key", [(), (("x-api-key", "wrong"),)])
def test_no_key_and_a_wrong_one_are_unauthenticated_on_grpc(strict, key):
    with pytest.raises(grpc.RpcError) as caught:
        VideoServiceStub(strict[0]).Caption(video_pb2.CaptionRequest(), metadata=key)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_without_a_client_certificate_nobody_gets_in(strict_pair):
    ca = (strict_pair.certificates / "ca.crt").read_bytes()
    with grpc.secure_channel(strict_pair.target, grpc.ssl_channel_credentials(ca)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            VideoServiceStub(channel).Caption(video_pb2.CaptionRequest(), metadata=(("x-api-key", strict_pair.key),))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_cancelling_a_unary_call_cancels_its_job(strict, http, media):
    channel, key = strict
    image = put(http, media.image)
    request = video_pb2.Img2VidRequest(images=[{"id": "a", "image_url": image, "duracao": 30}])
    call = VideoServiceStub(channel).Img2Vid.future(request, metadata=key)
    job = running_job(http)
    call.cancel()
    events = JobServiceStub(channel).WatchJob(jobs_watch(job), metadata=key, timeout=60)
    assert list(events)[-1].finished.status == 5  # CANCELLED


def test_the_deadline_of_a_unary_call_cancels_its_job(strict, http, media):
    channel, key = strict
    request = video_pb2.Img2VidRequest(images=[{"id": "a", "image_url": put(http, media.image), "duracao": 30}])
    with pytest.raises(grpc.RpcError) as caught:
        VideoServiceStub(channel).Img2Vid(request, metadata=key, timeout=5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    newest = http.get("/jobs?pageSize=1").json()["jobs"][0]["id"]
    events = JobServiceStub(channel).WatchJob(jobs_watch(newest), metadata=key, timeout=60)
    assert list(events)[-1].finished.status == 5


def jobs_watch(job_id):
    from apigpu.v1 import jobs_pb2

    return jobs_pb2.WatchJobRequest(id=job_id)


def running_job(http):
    return until_sync(lambda: http.get("/jobs?status=IN_PROGRESS").json()["jobs"])[0]["id"]
