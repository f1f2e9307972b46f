"""Which codecs can make runs of frames that stand in one track with packets that are copied."""

from encoder.codecs.base import Codec
from encoder.ffmpeg.command import TrackFit
from encoder.splice.scan import Unspliceable
from encoder.splice.syntax import SYNTAXES


def check_format(codec: Codec) -> None:
    """Raise Unspliceable for a codec that makes neither H.264 nor H.265."""
    if codec.format not in SYNTAXES:
        raise Unspliceable(f"the codec {codec.name} makes {codec.format} here, and neither H.264 nor H.265")


def check_fit(codec: Codec, fit: TrackFit) -> None:
    """Raise Unspliceable for a codec that cannot make video that keeps to a fit."""
    if why := codec.fit_error(fit):
        raise Unspliceable(why)
