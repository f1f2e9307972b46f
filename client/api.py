"""The Python client.

with Client.local() as client:
    job = client.caption("talk.mp4", "talk.srt")
    for event in job.watch():
        print(event)
    client.download(job.wait().asset, Path("captioned.mp4"))
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from apigpu.v1 import system_pb2, video_pb2
from apigpu.v1.system_pb2_grpc import SystemServiceStub
from client.asset import PREFIX, Asset
from client.connection import Connection, credentials
from client.datadir import DataDir
from client.job import Job
from client.jobs import Jobs
from client.status import Status
from client.transfer import OnBytes, Transfers

UPLOADS_AT_ONCE = 4

Source = str | Path
"""What an operation reads: a local file, an http(s) URL that the gateway can reach, or the name of an asset."""


@dataclass(frozen=True)
class Health:
    """How the gateway fares: "healthy" or "draining", encoders that answer, tasks that they run at once."""

    status: str
    encoders: int
    slots: int


class Client:
    """A connection to a gateway. Blocking, safe to share between threads; errors are ServiceError (rpc.errors)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transfers = Transfers(connection)
        self._jobs = Jobs(connection)

    @classmethod
    def connect(
        cls,
        target: str,
        key: str,
        ca: Path | None = None,
        certificate: Path | None = None,
        private_key: Path | None = None,
    ) -> Self:
        """Connect to host:port over TLS. Without `ca` public authorities are trusted; certificate and key (PEM files)
        are needed where the gateway asks for them. Raises FailedPrecondition for files that cannot be used."""
        return cls(Connection(target, key, credentials(ca, certificate, private_key)))

    @classmethod
    def local(cls, data_dir: Path | str = ".api-gpu") -> Self:
        """Connect to the pair that `api-gpu up` runs on this machine, with the key and the certificates it made."""
        folder = DataDir(Path(data_dir))
        certificates = folder.certificates
        return cls.connect(
            folder.target(),
            folder.key(),
            certificates / "ca.crt",
            certificates / "client.crt",
            certificates / "client.key",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Jobs go on."""
        self._connection.close()

    def caption(self, video: Source, subtitles: Source) -> Job:
        """Queue: burn SubRip subtitles into a video. Local files are uploaded first."""
        url_video, url_srt = self.sources(video, subtitles)
        request = video_pb2.CaptionRequest(url_video=url_video, url_srt=url_srt)
        return self._jobs.submit(video_pb2.Operation(caption=request))

    def img2vid(
        self, images: Sequence[Source] | Mapping[str, Source], seconds: float = 5.0, fps: float | None = None
    ) -> Job:
        """Queue: a Ken Burns clip of `seconds` from every image, at `fps` frames a second (24 when None).

        The clips carry the keys of a mapping as ids; of a sequence the files' stems, made unique.
        """
        named = images if isinstance(images, Mapping) else dict(zip(stems(images), images, strict=True))
        request = video_pb2.Img2VidRequest(frame_rate=fps)
        for name, image_url in zip(named, self.sources(*named.values()), strict=True):
            request.images.add(id=name, image_url=image_url, duracao=seconds)
        return self._jobs.submit(video_pb2.Operation(img2vid=request))

    def addaudio(self, video: Source, audio: Source) -> Job:
        """Queue: put a soundtrack on a video. Local files are uploaded first."""
        url_video, url_audio = self.sources(video, audio)
        request = video_pb2.AddAudioRequest(url_video=url_video, url_audio=url_audio)
        return self._jobs.submit(video_pb2.Operation(addaudio=request))

    def get(self, job_id: str) -> Job:
        """Read a job. Raises NotFound."""
        return self._jobs.get(job_id)

    def jobs(self, status: Status | None = None) -> Iterator[Job]:
        """All jobs, or those that stand at `status`, the newest first; fetched in pages, as they are asked for."""
        return self._jobs.list(status)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        self._jobs.cancel(job_id)

    def upload(self, path: Path, on_bytes: OnBytes | None = None) -> Asset:
        """Send a local file in one stream. Nothing is kept of an upload that failed."""
        return self._transfers.upload(path, on_bytes)

    def download(self, asset: str | Asset, target: Path, on_bytes: OnBytes | None = None) -> Path:
        """Write an asset to `target`, which appears only when size and SHA-256 are right; see Transfers.download."""
        return self._transfers.download(asset.name if isinstance(asset, Asset) else asset, target, on_bytes)

    def asset(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        return self._transfers.get(name)

    def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        self._transfers.delete(name)

    def health(self) -> Health:
        """How the gateway fares. Needs no key."""
        stub = SystemServiceStub(self._connection.channel)
        with self._connection.errors():
            answer = stub.GetHealth(system_pb2.GetHealthRequest(), metadata=self._connection.metadata)
        return Health(answer.status, answer.encoders.ready, answer.encoders.slots)

    def sources(self, *sources: Source) -> list[str]:
        """What the gateway is given for sources: URLs and assets as they are, else the uploaded files' assets."""
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            return list(pool.map(self._source, sources))

    def _source(self, source: Source) -> str:
        path = local_file(source)
        return self.upload(path).name if path else str(source)


def local_file(source: Source) -> Path | None:
    """The local file that a source names; None for a URL or an asset."""
    if isinstance(source, Path):
        return source
    # The ids of assets are random: a file of that name means the folder "assets" here.
    if source.startswith(("http://", "https://")) or (source.startswith(PREFIX) and not Path(source).exists()):
        return None
    return Path(source)


def stems(sources: Sequence[Source]) -> list[str]:
    """Names for sources: their stems, with -2, -3 … where they would repeat."""
    names: list[str] = []
    for source in sources:
        stem = Path(str(source).partition("?")[0]).stem or "image"
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names
