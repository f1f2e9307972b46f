"""buf curl, a gRPC client of its own (connect-go): every kind of call over mTLS, and reflection."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.interop.toolchain import BINARIES, ROOT
from tools.pair import Pair

CHUNK_BYTES = 256 * 1024
DESCRIPTORS = ROOT / "gen" / "apigpu" / "descriptors.binpb"
CALL_SECONDS = 120


class BufCurl:
    """Calls the gateway of `pair`; messages in and out are JSON."""

    def __init__(self, pair: Pair) -> None:
        certs = pair.certificates
        tls = ["--cacert", certs / "ca.crt", "--cert", certs / "client.crt", "--key", certs / "client.key"]
        self._command = [BINARIES / "buf", "curl", "--protocol", "grpc", *tls]
        self._url = f"https://{pair.target}/apigpu.v1."
        self._key = pair.key

    def call(self, method: str, *messages: object, key: str | None = None, schema: tuple = ("--schema", DESCRIPTORS)):
        """The messages of the answer; raises CalledProcessError."""
        header = f"x-api-key: {self._key if key is None else key}"
        done = subprocess.run(
            [*self._command, *schema, "--header", header, "--data", "@-", self._url + method],
            cwd=ROOT,
            input="\n".join(map(json.dumps, messages)),
            capture_output=True,
            text=True,
            check=True,
            timeout=CALL_SECONDS,
        )
        return list(stream(done.stdout))

    def upload(self, path: Path) -> dict:
        """The stored asset."""
        content = path.read_bytes()
        chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
        finish = {"sizeBytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        parts = [
            {"header": {"filename": path.name}},
            *({"chunk": base64.b64encode(chunk).decode()} for chunk in chunks),
            {"finish": finish},
        ]
        return self.call("AssetService/UploadAsset", *parts)[0]["asset"]


def stream(text: str):
    """The JSON values that stand in a text one after the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


@pytest.fixture
def buf(pair: Pair) -> BufCurl:
    return BufCurl(pair)


def test_captions_a_video(buf, inputs):
    video, srt = (buf.upload(path)["name"] for path in inputs)
    operation = {"caption": {"url_video": video, "url_srt": srt}}
    job = buf.call("JobService/SubmitJob", {"operation": operation})[0]["job"]
    events = buf.call("JobService/WatchJob", {"id": job["id"]})
    finished = events[-1]["finished"]
    assert finished["status"] == "COMPLETED", finished
    described, *chunks = buf.call("AssetService/DownloadAsset", {"name": finished["output"]["asset"]})
    content = b"".join(base64.b64decode(part["chunk"]) for part in chunks)
    assert described["asset"]["sizeBytes"] == str(len(content))
    assert described["asset"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_reads_the_protos_themselves(buf):
    assert "encoders" in buf.call("SystemService/GetHealth", {}, schema=("--schema", "."))[0]


def test_needs_no_schema_thanks_to_reflection(buf):
    assert buf.call("SystemService/GetInfo", {}, schema=("--reflect",))[0]["name"] == "api-gpu"


def test_a_wrong_key_is_unauthenticated(buf):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        buf.call("JobService/ListJobs", {}, key="wrong")
    assert json.loads(caught.value.stderr)["code"] == "unauthenticated"
