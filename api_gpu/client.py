"""The Python client.

with Client.local() as client:
    job = client.caption("talk.mp4", "talk.srt")
    for event in job.watch():
        print(event)
    client.download(job.wait().asset, Path("captioned.mp4"))

For every operation `max_cost_usd` is the most that its job may cost, where encoders are rented: one that is expected to
cost more is refused, one that comes to cost more is stopped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from api_gpu.assets import Asset, OnBytes, Transfers, check_readable
from api_gpu.connection import Connection, credentials
from api_gpu.fleet import DayCosts, Fleet
from api_gpu.job import Job
from api_gpu.jobs import Jobs
from api_gpu.local.data_dir import DataDir
from api_gpu.options import CaptionStyle, Container, Fit, Motion, Soundtrack, Status, Still, Word
from api_gpu.requests import fill
from api_gpu.source import Source, local_file, stems
from apigpu.v1 import fleet_pb2, system_pb2, video_pb2
from apigpu.v1.fleet_pb2_grpc import FleetServiceStub
from apigpu.v1.system_pb2_grpc import SystemServiceStub

__all__ = ["CaptionStyle", "Client", "Health", "Job", "Motion", "Soundtrack", "Source", "Status", "Still", "Word"]


@dataclass(frozen=True)
class Health:
    """How the gateway fares: "healthy" or "draining", encoders that answer, tasks that they run at once."""

    status: str
    encoders: int
    slots: int


class Client:
    """A connection to a gateway. Blocking, safe to share between threads; errors are subclasses of ServiceError."""

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

    def caption(
        self,
        video: Source,
        subtitles: Source,
        *,
        style: CaptionStyle | None = None,
        font: Source | None = None,
        words: Iterable[Word] | None = None,
        container: Container | None = None,
        max_cost_usd: float | None = None,
    ) -> Job:
        """Queue: burn subtitles (SubRip, WebVTT, ASS or SSA) into a video. Local files are uploaded first.

        `style` is the look (ASS and SSA keep their own); `font` a TrueType or OpenType file for it; `words` tells when
        each word is said, for karaoke: every word of the subtitles, in order. Raises InvalidArgument for an option
        that is wrong.
        """
        request = video_pb2.CaptionRequest()
        fill(request, style=style, words=words, container=container, max_cost_usd=max_cost_usd)
        fill(request, **self._given(url_video=video, url_srt=subtitles, url_font=font))
        return self._jobs.submit(video_pb2.Operation(caption=request))

    def img2vid(
        self,
        images: Sequence[Source | Still] | Mapping[str, Source | Still],
        seconds: float = 5.0,
        fps: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        fit: Fit | None = None,
        background: str | None = None,
        motion: Motion | None = None,
        container: Container | None = None,
        max_cost_usd: float | None = None,
    ) -> Job:
        """Queue: a Ken Burns clip of `seconds` from every image, at `fps` frames a second (24 when None).

        The clips carry the keys of a mapping as ids; of a sequence the files' stems, made unique. `size` is pixels
        across and down, even (1920, 1080 when None); `background` ("#RRGGBB") the color of bars and behind transparent
        stills. `motion` is the camera for all images; a Still may have its own. Raises InvalidArgument for an option
        that is wrong.
        """
        request = video_pb2.Img2VidRequest()
        width, height = size or (None, None)
        fill(request, frame_rate=fps, width=width, height=height, fit=fit, background=background)
        fill(request, motion=motion, container=container, max_cost_usd=max_cost_usd)
        stills = named(images)
        for name, still in stills.items():
            duracao = seconds if still.seconds is None else still.seconds
            fill(request.images.add(), id=name, duracao=duracao, motion=still.motion)
        sources = self.sources(*(still.source for still in stills.values()))
        for image, source in zip(request.images, sources, strict=True):
            image.image_url = source
        return self._jobs.submit(video_pb2.Operation(img2vid=request))

    def addaudio(
        self,
        video: Source,
        audio: Source,
        *,
        soundtrack: Soundtrack | None = None,
        container: Container | None = None,
        max_cost_usd: float | None = None,
    ) -> Job:
        """Queue: put the sound of `audio` on a video, as `soundtrack` says. Local files are uploaded first. Raises
        InvalidArgument for an option that is wrong."""
        request = video_pb2.AddAudioRequest()
        fill(request, soundtrack=soundtrack, container=container, max_cost_usd=max_cost_usd)
        fill(request, **self._given(url_video=video, url_audio=audio))
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

    def fleet(self) -> Fleet:
        """The encoders that are rented by the second, and what they cost."""
        stub = FleetServiceStub(self._connection.channel)
        with self._connection.errors():
            return Fleet.from_message(stub.GetFleet(fleet_pb2.GetFleetRequest(), metadata=self._connection.metadata))

    def fleet_costs(self, days: int = 7) -> list[DayCosts]:
        """What was spent, by day and provider, the newest day first; `days` from 1 to 31."""
        stub, request = FleetServiceStub(self._connection.channel), fleet_pb2.GetCostsRequest(days=days)
        with self._connection.errors():
            answer = stub.GetCosts(request, metadata=self._connection.metadata)
        return [DayCosts.from_message(day) for day in answer.days]

    def sources(self, *sources: Source) -> list[str]:
        """What the gateway is given for sources: URLs and assets as they are, else the uploaded files' assets. Nothing
        is sent when one cannot be read. When an upload fails, and on Ctrl-C, those that are known to have arrived are
        deleted."""
        check_readable(sources)
        paths = [local_file(source) for source in sources]
        assets = iter(self._transfers.upload_all(path for path in paths if path))
        return [next(assets).name if path else str(source) for source, path in zip(sources, paths, strict=True)]

    def _given(self, **sources: Source | None) -> dict[str, str]:
        present = {name: source for name, source in sources.items() if source is not None}
        return dict(zip(present, self.sources(*present.values()), strict=True))


def named(images: Sequence[Source | Still] | Mapping[str, Source | Still]) -> dict[str, Still]:
    """The stills by the ids of their clips."""
    given = images.values() if isinstance(images, Mapping) else images
    stills = [image if isinstance(image, Still) else Still(image) for image in given]
    names = images if isinstance(images, Mapping) else stems(still.source for still in stills)
    return dict(zip(names, stills, strict=True))
