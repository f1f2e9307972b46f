"""One picture of what an operation would make, as a page of options asks for it again and again."""

import statistics
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import plain
from bench.latency import WARM_UP_RUNS, after_a_pause
from bench.pair import Measured
from bench.timing import Row

RUNS = 25
FIRST_RUNS = 9
# Of a PNG: its signature and the chunk that comes first.
HEADER_BYTES = 33
SECONDS = 60
AT_SECONDS = 30.5
AIM = "< 300 ms"


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Submit, wait and download, warm, of a frame of a film of 1080p with captions and of a still, both uploaded
    before; at the median and the slowest."""
    client = pair.client
    video, srt, still = folder / "film.mp4", folder / "film.srt", folder / "still.png"
    plain.make_long_video(video, SECONDS, "1920x1080")
    plain.make_srt(srt, SECONDS)
    plain.make_image(still)
    film, captions, image = (client.upload(path).name for path in (video, srt, still))
    asked: Mapping[str, Mapping[str, Any]] = {
        f"frame of {SECONDS} s of 1080p with captions": {"caption": {"video": film, "subtitles": captions}},
        "frame of a still zoomed to 1080p": {"img2vid": {"images": [{"source": image, "seconds": 5}]}},
    }
    for name, request in asked.items():
        at = AT_SECONDS if "caption" in request else 2.5

        def picture(request: Mapping[str, Any] = request, at: float = at) -> None:
            done = client.frame(**request, at_seconds=at).wait()
            client.download(done.asset, folder / "frame.jpg")

        yield f"{name}, warm, median", milliseconds(picture), AIM
    yield "the first picture of such a still, warm, median", _first_pictures(pair, folder, still), "–"


def _first_pictures(pair: Measured, folder: Path, still: Path) -> str:
    """Return the median and the slowest of pictures of stills that differ by a comment, each of which is seen once."""
    client, took = pair.client, []
    for number in range(FIRST_RUNS):
        other = folder / f"still{number}.png"
        other.write_bytes(_with_comment(still.read_bytes(), number))
        image = client.upload(other).name

        def picture(image: str = image) -> None:
            done = client.frame(img2vid={"images": [{"source": image, "seconds": 5}]}, at_seconds=2.5).wait()
            client.download(done.asset, folder / "frame.jpg")

        took.append(after_a_pause(picture) * 1000)
    return f"{statistics.median(took):.0f} ms (slowest {max(took):.0f} ms)"


def _with_comment(png: bytes, number: int) -> bytes:
    """Return a PNG with a comment behind its header."""
    body = b"tEXtComment\0%d" % number
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:HEADER_BYTES] + chunk + png[HEADER_BYTES:]


def milliseconds(picture: Callable[[], None]) -> str:
    """Return the median of RUNS and the slowest of them."""
    for _ in range(WARM_UP_RUNS):
        picture()
    took = [after_a_pause(picture) * 1000 for _ in range(RUNS)]
    return f"{statistics.median(took):.0f} ms (slowest {max(took):.0f} ms)"
