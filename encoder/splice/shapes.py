"""Whether the pictures of a video are as a film has them, so that its packets can stand in it as they are."""

from fractions import Fraction

from encoder.ffmpeg.command import SQUARE
from encoder.media.info import MediaInfo, Size, VideoStream
from encoder.splice.scan import Unspliceable

# Frame rates that people take for one: 30 for 30000/1001. Frames that are copied at their own times do not drift by it;
# who gives them others bounds the drift too.
SAME_RATE = 0.005
# Of standard dynamic range, and near enough to each other to be told as one (ITU-T H.273, tables 2 to 4).
PRIMARIES, TRANSFERS, MATRICES = (1, 2, 5, 6), (1, 2, 6, 14, 15), (1, 2, 5, 6)


def same_rate(one: Fraction, other: Fraction) -> bool:
    """Return True for frame rates that are the same on paper."""
    return abs(one - other) <= SAME_RATE * other


def check_shape(info: MediaInfo, video: VideoStream, size: Size, rate: Fraction) -> None:
    """Raise Unspliceable where a video has another size or frame rate than a film, or pictures of another kind."""
    if (video.width, video.height) != (size.width, size.height) or video.sizes:
        raise Unspliceable(f"it is not {size.width}×{size.height}, as the result is")
    if video.display_matrix or video.pixel_aspect != SQUARE:
        raise Unspliceable("it is turned by its container, or its pixels are not square")
    if not same_rate(video.frame_rate, rate):
        raise Unspliceable(f"it has not {float(rate):g} frames a second, as the result has")
    if info.is_cut_off:
        raise Unspliceable("not all of it is there")
    tags = video.color_tags
    if tags.full_range:
        raise Unspliceable("its samples are of full range, which results are not")
    is_known = tags.primaries in PRIMARIES and tags.transfer in TRANSFERS and tags.matrix in MATRICES
    if video.transfer or video.interlaced or not is_known:
        raise Unspliceable("it is interlaced, or in other colors than results are")
