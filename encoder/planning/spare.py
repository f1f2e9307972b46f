"""A process forked ahead of its task, the spare: it plans a sample of ours, and has what is written at the first plan
copied before a task waits for it: the pages in which Python counts references."""

import io
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av

from apigpu.v1 import video_pb2
from encoder.planning.protocol import (
    MAX_PACKET_BYTES,
    SAMPLE_PREFIX,
    ForkRequest,
    PlannerRequest,
    PlanningSettings,
    PlanRequest,
)
from encoder.planning.worker import PlanningSession
from servicekit.codec import from_json, to_json

SUBTITLES = "1\n00:00:00,000 --> 00:00:00,200\nAb\n"
SIDE, FRAMES, RATE, SAMPLE_RATE = 64, 2, 10, 48_000
CPU_SECONDS = 60


@dataclass(frozen=True)
class SpareProcess:
    """A process that waits for a task, and our end of the channel by which it gets one."""

    process: int
    channel: socket.socket

    def give(self, request: ForkRequest, descriptor: int) -> bool:
        """Hand it a task and the descriptor of the task's channel; False when it is gone. It takes no other."""
        try:
            with self.channel:
                socket.send_fds(self.channel, [to_json(request)], [descriptor])
        except OSError:
            return False
        return True


def wait_for_task(channel: socket.socket) -> tuple[ForkRequest, int] | None:
    """Return the task of this process, and the descriptor of its channel; None when it is not needed any more."""
    data, descriptors, _, _ = socket.recv_fds(channel, MAX_PACKET_BYTES, 1)
    return (from_json(ForkRequest, data), descriptors[0]) if data else None


def plan_sample(session: PlanningSession) -> None:
    """Plan captions for a sample, and check a result, in a folder of its own. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=f"{SAMPLE_PREFIX}{os.getpid()}-", dir=session.settings.work_dir))
    try:
        video, subtitles, result = folder / "video", folder / "subtitles", folder / "result"
        video.write_bytes(sample())
        result.write_bytes(sample())
        subtitles.write_text(SUBTITLES)
        caption = video_pb2.CaptionRequest(url_video="video", url_srt="subtitles")
        plan = PlanRequest(
            operation=video_pb2.Operation(caption=caption).SerializeToString(),
            inputs={"url_video": video.name, "url_srt": subtitles.name},
            folder=str(folder),
            result=str(result),
            codec="x264",
            threads=1,
            cpu_seconds=CPU_SECONDS,
        )
        to_json(session.answer(PlannerRequest(plan=plan)))
        session.answer(PlannerRequest(check=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_sample(settings: PlanningSettings, process: int | str) -> None:
    """Remove the folder of a sample that a process left; "*" stands for any."""
    for folder in Path(settings.work_dir or tempfile.gettempdir()).glob(f"{SAMPLE_PREFIX}{process}-*"):
        shutil.rmtree(folder, ignore_errors=True)


@cache
def sample() -> bytes:
    """Return an MP4 of two gray frames with sound, as most videos have it: what a decoder reckons before its first
    frame takes milliseconds, too."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=RATE, width=SIDE, height=SIDE, pix_fmt="yuv420p")
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number in range(FRAMES):
            frame = av.VideoFrame(SIDE, SIDE, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(picture.encode(frame))
        silence = av.AudioFrame("fltp", "mono", FRAMES * SAMPLE_RATE // RATE)
        silence.planes[0].update(bytes(silence.planes[0].buffer_size))
        silence.sample_rate = SAMPLE_RATE
        container.mux(sound.encode(silence))
        for stream in (picture, sound):
            container.mux(stream.encode())
    return file.getvalue()
