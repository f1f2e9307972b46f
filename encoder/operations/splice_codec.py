"""Which codecs can make runs of frames that stand in one track with packets that are copied."""

from encoder.codecs.base import Codec
from encoder.ffmpeg.command import TrackFit
from encoder.splice.scan import Unspliceable

FORMAT = "h264"


def check_format(codec: Codec) -> None:
    """Raise Unspliceable for a codec that makes no H.264."""
    if codec.format != FORMAT:
        raise Unspliceable(f"the codec {codec.name} makes {codec.format} here, and not H.264")


def check_fit(codec: Codec, fit: TrackFit) -> None:
    """Raise Unspliceable for a codec that cannot make H.264 that keeps to a fit."""
    if why := codec.fit_error(fit):
        raise Unspliceable(why)
