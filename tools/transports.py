"""The two ways to call the pair, side by side: gRPC by `api_gpu`, and JSON over HTTP with no client of ours."""

from pathlib import Path
from typing import Any, Protocol

import httpx

from api_gpu import Client
from tools.samples import Samples

HTTP_SECONDS = 3600.0


class Transport(Protocol):
    """Runs an operation on local files; writes the results to `folder`, named by transport and operation."""

    name: str

    def caption(self, samples: Samples, folder: Path) -> list[Path]:
        """Caption the video."""

    def img2vid(self, samples: Samples, seconds: float, folder: Path) -> list[Path]:
        """Make a clip of `seconds` from every image."""

    def addaudio(self, samples: Samples, folder: Path) -> list[Path]:
        """Put the audio on the video."""


class GrpcTransport:
    """Over gRPC."""

    name = "gRPC"

    def __init__(self, client: Client) -> None:
        self._client = client

    def caption(self, samples: Samples, folder: Path) -> list[Path]:
        job = self._client.caption(samples.video, samples.subtitles).wait()
        return [self._client.download(job.asset, folder / "grpc-caption.mp4")]

    def img2vid(self, samples: Samples, seconds: float, folder: Path) -> list[Path]:
        job = self._client.img2vid(samples.images, seconds).wait()
        return [self._client.download(clip.asset, folder / f"grpc-{clip.id}.mp4") for clip in job.clips]

    def addaudio(self, samples: Samples, folder: Path) -> list[Path]:
        job = self._client.addaudio(samples.video, samples.audio).wait()
        return [self._client.download(job.asset, folder / "grpc-addaudio.mp4")]


class JsonTransport:
    """Over HTTP: PUT /assets, POST /video/…, GET of the signed link."""

    name = "JSON"

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=HTTP_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def caption(self, samples: Samples, folder: Path) -> list[Path]:
        body = {"url_video": self._upload(samples.video), "url_srt": self._upload(samples.subtitles)}
        return [self._download(self._post("caption", body)["video_url"], folder / "json-caption.mp4")]

    def img2vid(self, samples: Samples, seconds: float, folder: Path) -> list[Path]:
        images = [{"id": path.stem, "image_url": self._upload(path), "duracao": seconds} for path in samples.images]
        videos = self._post("img2vid", {"images": images})["videos"]
        return [self._download(video["video_url"], folder / f"json-{video['id']}.mp4") for video in videos]

    def addaudio(self, samples: Samples, folder: Path) -> list[Path]:
        body = {"url_video": self._upload(samples.video), "url_audio": self._upload(samples.audio)}
        return [self._download(self._post("addaudio", body)["video_url"], folder / "json-addaudio.mp4")]

    def _upload(self, path: Path) -> str:
        with path.open("rb") as file:
            answer = self._http.put(f"/assets/{path.name}", content=file)
        return str(_accepted(answer)["name"])

    def _post(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        return _accepted(self._http.post(f"/video/{operation}", json=body))

    def _download(self, url: str, target: Path) -> Path:
        with self._http.stream("GET", url) as answer, target.open("wb") as file:
            answer.raise_for_status()
            for data in answer.iter_bytes():
                file.write(data)
        return target


def _accepted(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    if answer.is_error:
        raise RuntimeError(f"{answer.request.method} {answer.request.url} answers {answer.status_code}: {body}")
    return body
