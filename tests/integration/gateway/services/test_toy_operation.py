"""The gateway needs no edit for an operation: one with inputs in lists and two results that are no videos is added to
the protos alone, and a gateway that runs on what is generated from them serves it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import google.api
import grpc_tools
import pytest

from tests.support.paths import ROOT

METHOD = """
  // Makes a mosaic.
  rpc Mosaic(MosaicRequest) returns (MosaicResponse) {
    option (google.api.http) = {
      post: "/video/mosaic"
      body: "*"
    };
    option (method) = {scopes: "submit"};
  }
}

// One operation with"""
MESSAGES = """
message MosaicRequest {
  option (rules) = {
    required: "url_videos is required"
    done: "Mosaic made"
    files: 1
  };
  repeated string url_videos = 1 [json_name = "url_videos", (field) = {required: true input: true}];
  repeated Tile tiles = 2 [(field) = {max_items: 3}];
}

message Tile {
  string url = 1 [(field) = {input: true}];
  string title = 2;
}

message MosaicResponse {
  string message = 1;
  Stats stats = 2;
  repeated File files = 3;
}
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is generated from the protos and the new operation."""
    folder = tmp_path_factory.mktemp("toy")
    shutil.copytree(ROOT / "protos", folder / "protos")
    proto = folder / "protos" / "apigpu" / "v1" / "video.proto"
    text = proto.read_text()
    text = text.replace("}\n\n// One operation with", METHOD, 1)
    text = text.replace("  oneof kind {\n", "  oneof kind {\n    MosaicRequest mosaic = 1000;\n", 1)
    proto.write_text(text + MESSAGES)
    gen = folder / "gen"
    shutil.copytree(ROOT / "gen", gen)
    files = [str(path.relative_to(folder / "protos")) for path in (folder / "protos").rglob("*.proto")]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    paths = [folder / "protos", Path(next(iter(google.api.__path__))).parent.parent, well_known]
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"--proto_path={path}" for path in paths)]
    command += [f"--python_out={gen}", f"--grpc_python_out={gen}"]
    command += [f"--descriptor_set_out={gen}/apigpu/descriptors.binpb", "--include_imports", "--include_source_info"]
    subprocess.run([*command, *files], check=True)
    return gen


def test_an_operation_that_only_the_protos_know_is_served(generated: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(generated), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.toy_child", tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    status, answer, job, contents, (inputs,), root, refused = json.loads(done.stdout.splitlines()[-1])
    assert (status, answer["message"]) == (200, "Mosaic made")
    assert inputs == [["url_videos[0]", "url_videos[2]", "tiles[2].url"], ["url_videos[1]", "tiles[0].url"]]
    assert [(file["name"], file["contentType"]) for file in answer["files"]] == [
        ("v-mosaic.json", "application/json"),
        ("notes.txt", "text/plain"),
    ]
    assert [file["name"] for file in job["output"]["files"]] == ["v-mosaic.json", "notes.txt"]
    assert job["output"]["asset"] == job["output"]["files"][0]["asset"]
    assert "video_url" not in job["output"]
    assert contents == ["first result", "second result"]
    assert "POST /video/mosaic" in json.dumps(root)
    assert refused == "tiles has 4 elements and 3 are the most."
