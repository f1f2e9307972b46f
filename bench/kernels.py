"""Which sampling is worth its time: kernels of warpAffine, on stills kept in several sizes and on finer grids."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bench import ideal, plain
from bench.pair import Measured
from bench.timing import Row
from bench.vmaf import vmaf
from encoder.kenburns import sampling
from encoder.media.info import Size

CLIP = Size(1920, 1080)
FRAMES = 120
KERNELS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "Lanczos": cv2.INTER_LANCZOS4}
# Size that is kept by that of the clip, samples for each pixel of it, kernel.
CASES = (
    (1.0, 1, "linear"),
    (1.0, 1, "cubic"),
    (1.15, 1, "linear"),
    (1.15, 1, "cubic"),
    (1.15, 1, "Lanczos"),
    (1.15, 2, "linear"),
    (1.324, 1, "linear"),
    (1.324, 1, "cubic"),
    (1.324, 2, "linear"),
)


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """VMAF against the ideal, bytes by those of the plain command, and milliseconds a frame of each."""
    image, reference, theirs = folder / "still.png", folder / "ideal.yuv", folder / "theirs.mp4"
    plain.make_image(image)
    ideal.write(reference, ideal.zoomed(ideal.luma(image), CLIP.width, CLIP.height, FRAMES))
    plain.img2vid(image, FRAMES / 24, theirs)
    plainly = theirs.stat().st_size
    yield "(zoompan)", f"VMAF {vmaf(theirs, reference, CLIP.width, CLIP.height):.1f}, bytes 1.00×", ""
    for scale, grid, kernel in CASES:
        stored, out = kept(image, scale, grid, folder / "kept.yuv"), folder / "sampled.mp4"
        milliseconds = sampled(folder / "kept.yuv", stored, KERNELS[kernel], out)
        score = vmaf(out, reference, CLIP.width, CLIP.height)
        figure = f"VMAF {score:.1f}, bytes {out.stat().st_size / plainly:.2f}×, {milliseconds:.1f} ms a frame"
        yield f"still kept at {scale:.2f}, {grid} × {grid} samples a pixel, {kernel}", figure, ""


def kept(image: Path, scale: float, grid: int, out: Path) -> Size:
    """Store a still as the encoder does; the samples across and down."""
    size = CLIP.scaled(scale)
    stored = Size(size.width * grid, size.height * grid)
    color = "out_color_matrix=bt709:out_range=tv:out_chroma_loc=left"
    reduced = f"scale={size.width}:{size.height}:flags=lanczos:{color},format=yuv420p"
    grown = f"scale={stored.width}:{stored.height}:flags=lanczos:in_chroma_loc=left:out_chroma_loc=left"
    plain.ffmpeg("-i", image, "-vf", f"{reduced},{grown}", "-f", "rawvideo", out)
    return stored


def sampled(still: Path, stored: Size, kernel: int, out: Path) -> float:
    """Make a clip with a kernel; milliseconds of sampling a frame."""
    source = sampling.planes(np.fromfile(still, np.uint8), stored)
    frame, motion, took = np.empty(CLIP.frame_bytes, np.uint8), sampling.DEFAULT_MOTION, 0.0
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{CLIP.width}x{CLIP.height}", "-r", "24", "-i", "-")
    command = [plain.FFMPEG, "-v", "error", "-y", *raw, *plain.ENCODE, *plain.FASTSTART, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in range(FRAMES):
            started = time.perf_counter()
            luma, color = sampling.matrices(stored, CLIP, sampling.window(motion, number, FRAMES))
            for place, (plane, into) in enumerate(zip(source, sampling.planes(frame, CLIP), strict=True)):
                shape = (into.shape[1], into.shape[0])
                flags = kernel | cv2.WARP_INVERSE_MAP
                matrix = color if place else luma
                cv2.warpAffine(plane, matrix, shape, dst=into, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            took += time.perf_counter() - started
            process.stdin.write(frame.data)
    return took / FRAMES * 1000
