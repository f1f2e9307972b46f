"""Encodes with the real PyNvVideoCodec in a child process that finds the stand-in as its driver.

`encoded` is for tests; run as `python -m tests.nvdriver.wheel` this file is the child, with the job on its stdin.
"""

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from tests.nvdriver.driver import Driver
from tests.support.paths import ROOT


@dataclass(frozen=True)
class Job:
    """What to encode. `keywords` are those of the wheel's CreateEncoder, all text; `force_idr` counts from 0."""

    keywords: dict[str, str] = field(default_factory=dict)
    frames: int = 60
    width: int = 320
    height: int = 240
    form: str = "NV12"
    force_idr: tuple[int, ...] = ()
    stop_after: int = 0  # pictures after which the encoder is dropped without being ended
    stop_sometimes: bool = False  # the same for every third encoder, each after another number of pictures
    threads: int = 1  # encoders at once, all of the same job
    rounds: int = 1  # encoders one after the other


@dataclass(frozen=True)
class Result:
    """What came of a job; with several encoders, of one of them."""

    stream: bytes
    timestamps: tuple[int, ...]
    types: tuple[int, ...]
    parameter_sets: bytes
    error: str
    alike: bool  # whether all encoders of the job gave the same stream


def picture(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """NV12 (height * 3 / 2, width): a gradient that moves, over which a square runs."""
    nv12 = np.full((height * 3 // 2, width), 128, np.uint8)
    slope = np.arange(width)[None, :] + np.arange(height)[:, None]
    nv12[:height] = 64 + (slope + 3 * number) % 128
    left = 4 * number % (width - 32)
    nv12[32:64, left : left + 32] = 235
    nv12[height:, ::2] = 96
    return nv12


def encoded(driver: Driver, job: Job) -> Result:
    """Run a job to its end."""
    child = started(driver, job)
    return finished(child)


def started(driver: Driver, job: Job) -> subprocess.Popen[bytes]:
    """A child that works at the job."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.nvdriver.wheel"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **driver.environment()},
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(asdict(job)).encode())
    child.stdin.close()
    child.stdin = None
    return child


def finished(child: subprocess.Popen[bytes]) -> Result:
    """The result of a child; its own failure is the test's."""
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err.decode()
    head, stream = out.split(b"\n", 1)
    said = json.loads(head)
    return Result(
        stream=stream,
        timestamps=tuple(said["timestamps"]),
        types=tuple(said["types"]),
        parameter_sets=bytes.fromhex(said["parameter_sets"]),
        error=said["error"],
        alike=said["alike"],
    )


def _given(job: Job, number: int) -> npt.NDArray[np.uint8]:
    nv12 = picture(number, job.width, job.height)
    if job.form == "NV12":
        return nv12
    if job.form == "P010":
        return (nv12.astype(np.uint16) << 8).view(np.uint8).reshape(nv12.shape[0], -1)
    gray = nv12[: job.height].astype(np.float64)
    pixels = np.empty((job.height, job.width, 4), np.uint8)
    pixels[:] = np.clip((gray - 16) * 255 / 219, 0, 255).round()[..., None]
    pixels[:, : job.width // 4] = (255, 0, 0, 255)  # the first byte: blue in ARGB, red in ABGR
    return pixels


# The wheel's first conversion of an array imports NumPy under a lock of C++ that knows nothing of the GIL: two threads
# that come to it at once wait for each other for ever. So each encoder's first picture goes in alone.
_FIRST = threading.Lock()


@dataclass
class _Work:
    job: Job
    packets: list[dict[str, object]] = field(default_factory=list)
    parameter_sets: bytes = b""
    error: str = ""

    def run(self) -> None:
        job = self.job
        for turn in range(job.rounds):
            self.packets = []
            stopped = job.stop_sometimes and turn % 3 == 0
            try:
                self._encode(1 + turn % (job.frames - 1) if stopped else job.stop_after)
            except Exception as error:  # whatever the wheel raises is what the test asks about
                self.error = f"{type(error).__name__}: {error}"

    def _encode(self, stop_after: int) -> None:
        import PyNvVideoCodec as wheel

        job = self.job
        encoder = wheel.CreateEncoder(job.width, job.height, job.form, True, **job.keywords)
        self.parameter_sets = encoder.GetSequenceParams()
        for number in range(job.frames):
            if stop_after and number == stop_after:
                return
            flags = int(wheel.NV_ENC_PIC_FLAGS.FORCEIDR) if number in job.force_idr else 0
            with _FIRST if number == 0 else nullcontext():
                self.packets += encoder.Encode(_given(job, number), flags)
        self.packets += encoder.EndEncode()

    @property
    def stream(self) -> bytes:
        return b"".join(packet["data"] for packet in self.packets)  # type: ignore[misc]


def _main() -> None:
    job = Job(**json.load(sys.stdin))
    works = [_Work(job) for _ in range(job.threads)]
    threads = [threading.Thread(target=work.run) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work = works[0]
    head = {
        "timestamps": [packet["timestamp"] for packet in work.packets],
        "types": [packet["picture_type"] for packet in work.packets],
        "parameter_sets": work.parameter_sets.hex(),
        "error": next((other.error for other in works if other.error), ""),
        "alike": all(other.stream == work.stream for other in works),
    }
    out = io.FileIO(os.dup(1), "w")
    out.write(json.dumps(head).encode() + b"\n" + work.stream)


if __name__ == "__main__":
    _main()
