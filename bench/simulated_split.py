"""An hour of film with captions on many simulated encoders: the gateway's own parts, real bytes, the encoder's own
planning; what takes the time of cards and cores elsewhere, the encoding, is waited for."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1.video_pb2 import CaptionRequest, Operation
from bench import plain
from bench.scale_world import World, world
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.results import ResultStream
from gateway.jobs.model import Status
from gateway.sources.outline import placed
from gateway.workers.base import EncodeJob, EncoderBusy, Events, Input, Outcome
from servicekit.chunks import CHUNK_BYTES, Checksum

SECONDS, SIZE, FILM_RATE = 3600, "426x240", 25
# As a core or two make of 1080p; and, either way at the most, how encoders differ, and how pieces do.
FRAMES_PER_SECOND = 60.0
ENCODERS_DIFFER, PIECES_DIFFER = 0.2, 0.2
# Of encoders of mixed speeds each third one is so many times slower. How slow each is the gateway learns by a film of
# so many seconds before.
SLOW_EVERY, SLOWER, LEARNED_SECONDS = 3, 4.0, 600
# Before the first frame, beside what is moved: planning, FFmpeg, its last frames.
START_SECONDS = 0.3
# Of one connection with mTLS.
LINE_BYTES = 300e6
# Of the index of a piece; and of how soon a join reads those of all, has FFmpeg put the ends together, and writes the
# tables of the film: an hour in 232 pieces took an encoder on two cores 0.5 s, with the start.
INDEX_BYTES_PER_FRAME, JOINED_FRAMES_PER_SECOND = 8, 450_000


@dataclass
class Spent:
    """What a simulated film took: seconds from the submit to its end, and to those of the planning and of the last
    piece; frames that all encoders together make a second; pieces that were begun; and by piece its frames, as hard as
    they are, and as they are counted."""

    seconds: float = 0.0
    planned_at: float = 0.0
    last_piece_at: float = 0.0
    rates: float = 0.0
    begun: int = 0
    work: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    # Of the film, on the average.
    frame_bytes: float = 0.0
    began_at: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds since the submit."""
        return time.monotonic() - self.began_at

    @property
    def share(self) -> float:
        """What of the encoders' time went into frames, if each worked from the submit to the end."""
        return sum(self.work.values()) / (self.rates * self.seconds)

    @property
    def told(self) -> str:
        """The share, and what the rest was."""
        parts = f"planned after {self.planned_at:.1f} s, last of {len(self.work)} pieces after {self.last_piece_at:.1f}"
        return f"{self.share:.0%} ({self.seconds:.1f} s; {parts}; {self.begun - len(self.work)} tried twice)"


@dataclass(eq=False)
class SplittingEncoder:
    """An encoder of one slot: it plans with the real one's parts, and takes so long for pieces as its rate says."""

    name: str
    rate: float
    executor: TaskExecutor
    spent: Spent
    is_busy: bool = field(default=False, init=False)

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Return its one slot."""
        codecs = [encoder_pb2.Codec(name="x264")]
        return encoder_pb2.GetCapabilitiesResponse(slots=1, busy=int(self.is_busy), codecs=codecs, boot_id=self.name)

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Carry out a task. Raises EncoderBusy while there is another."""
        if self.is_busy:
            raise EncoderBusy(f"{self.name} has a task")
        self.is_busy = True
        try:
            await events.started()
            part = story_pb2.StoryPart.FromString(job.part)
            match part.WhichOneof("kind") if job.part else None:
                case "caption_piece":
                    return await self._piece(job, part.caption_piece, events)
                case "caption_join":
                    return await self._join(job, events)
                case _:
                    return await self._plan(job, events)
        finally:
            self.is_busy = False

    async def _plan(self, job: EncodeJob, events: Events) -> Outcome:
        task = job.message()
        async with self.executor.reserve(task) as own:
            sources = {}
            for number, entry in enumerate(job.inputs):
                path = own.folder.path / f"input{number}"
                await _store(entry, path)
                sources[entry.field] = Source(entry.field, path, is_outline=entry.has_holes)
            summary = await self.executor.run(Work(task, sources, own, _unheard, ResultStream(events.chunk, _no_file)))
        self.spent.planned_at = self.spent.now
        return Outcome(summary)

    async def _piece(self, job: EncodeJob, piece: story_pb2.CaptionPiece, events: Events) -> Outcome:
        frames = piece.picture.packets
        self.spent.begun += 1
        tally, moved = await self._moved(job, events, int(frames * self.spent.frame_bytes))
        # As hard for whichever encoder makes it.
        frames_worth = frames * _differing(random.Random(piece.picture.first_dts), PIECES_DIFFER)
        await self._work(START_SECONDS + moved / LINE_BYTES, frames_worth / self.rate, frames, events)
        self.spent.work[job.id], self.spent.frames[job.id] = frames_worth, frames
        self.spent.last_piece_at = self.spent.now
        summary = _summary(tally, frames, "x264")
        summary.index_bytes = min(frames * INDEX_BYTES_PER_FRAME, tally.size_bytes // 2)
        return Outcome(summary)

    async def _join(self, job: EncodeJob, events: Events) -> Outcome:
        """Read the index of each piece, send a head of as many bytes, and name what follows it."""
        tally, summary = Checksum(), encoder_pb2.Summary()
        for number, entry in enumerate(job.inputs):
            async with (entry.open_index or entry.open)() as source:
                async for _, data in placed(source):
                    tally.add(data)
                    await events.chunk(data)
            assert source.size_bytes is not None
            summary.composed.add(input=number, start=0, end=source.size_bytes - (source.sent_bytes or 0))
        frames = sum(self.spent.frames.values())
        await asyncio.sleep(START_SECONDS + 2 * tally.size_bytes / LINE_BYTES + frames / JOINED_FRAMES_PER_SECOND)
        summary.MergeFrom(_summary(tally, 0, "copy"))
        return Outcome(summary)

    async def _moved(self, job: EncodeJob, events: Events, most_bytes: int) -> tuple[Checksum, int]:
        """Read the inputs, and send so many of their bytes as the result: beside its packets a piece gets its index and
        the captions. Return also what was moved."""
        tally, read_bytes = Checksum(), 0
        for entry in job.inputs:
            async with entry.open() as source:
                async for _, data in placed(source):
                    read_bytes += len(data)
                    sent = data[: most_bytes - tally.size_bytes]
                    if sent:
                        tally.add(sent)
                        await events.chunk(sent)
        return tally, read_bytes + tally.size_bytes

    async def _work(self, start_seconds: float, seconds: float, frames: int, events: Events) -> None:
        await asyncio.sleep(start_seconds)
        begun = time.monotonic()
        while (share := (time.monotonic() - begun) / seconds) < 1:
            await events.progress(encoder_pb2.EncodeProgress(frames_done=int(share * frames), frames_total=frames))
            await asyncio.sleep(min(1.0, seconds * (1 - share)))

    async def release(self, task_id: str) -> None:
        """Have nothing to drop."""

    async def until_ended(self, task_id: str) -> None:
        """Have nothing to clean up."""

    async def close(self) -> None:
        """Have nothing to close."""


async def measured(encoders: int, folder: Path, *, is_mixed: bool = False) -> Spent:
    """Return what an hour with captions takes on so many encoders, of mixed speeds or about as fast as each other.
    Raises RuntimeError where it does not come about."""
    folder.mkdir()
    chance, made = random.Random(encoders), list[SplittingEncoder]()
    async with open_executor(EncoderSettings(codec="x264", work_dir=folder / "work")) as executor:

        def make(number: int) -> SplittingEncoder:
            rate = FRAMES_PER_SECOND * _differing(chance, ENCODERS_DIFFER)
            slower = SLOWER if is_mixed and number % SLOW_EVERY == 0 else 1.0
            made.append(SplittingEncoder(f"encoder-{number}", rate / slower, executor, Spent()))
            return made[-1]

        async with world(folder, encoders, 0, make=make) as there:
            if is_mixed:
                await _made(there, folder, LEARNED_SECONDS, made)
            return await _made(there, folder, SECONDS, made)


async def _made(there: World, folder: Path, seconds: int, encoders: Sequence[SplittingEncoder]) -> Spent:
    """Have a film made that lasts so long."""
    film, srt = folder / f"film{seconds}.mp4", folder / f"talk{seconds}.srt"
    plain.make_long_video(film, seconds, SIZE)
    plain.make_srt(srt, seconds)
    frame_bytes = film.stat().st_size / (seconds * FILM_RATE)
    spent = Spent(rates=sum(encoder.rate for encoder in encoders), frame_bytes=frame_bytes)
    for encoder in encoders:
        encoder.spent = spent
    async with there.assets.create("film.mp4") as writer:
        with film.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                await writer.write(data)
        asset = (await writer.commit()).name
    spent.began_at = time.monotonic()
    job = await there.manager.submit(Operation(caption=CaptionRequest(url_video=asset, srt_text=srt.read_text())))
    ended = await there.ended(job)
    spent.seconds = spent.now
    if ended.status is not Status.COMPLETED:
        raise RuntimeError(f"the film was not made: {ended.failure}")
    return spent


async def _store(entry: Input, path: Path) -> None:
    with path.open("wb") as file:
        async with entry.open() as source:
            async for offset, data in placed(source):
                file.seek(offset)
                file.write(data)
            file.truncate(source.size_bytes)


def _summary(tally: Checksum, frames: int, codec: str) -> encoder_pb2.Summary:
    told = {"size_bytes": tally.size_bytes, "sha256": tally.sha256, "frames": frames, "codec": codec}
    return encoder_pb2.Summary(content_type="video/mp4", **told)


def _differing(chance: random.Random, most: float) -> float:
    return 1 + chance.uniform(-most, most)


async def _unheard(_: encoder_pb2.EncodeProgress) -> None:
    """Progress of the planning is of no interest here."""


async def _no_file(_: encoder_pb2.ResultFile) -> None:
    """There is none beside the captions."""
