"""How the pieces of a film are encoded: as the encoder that planned it is set, whichever encoder makes a piece."""

from dataclasses import replace

from apigpu.encoder.v1 import story_pb2
from encoder.codecs.base import PRESETS, X264, Codec
from encoder.codecs.nvenc.codec import Nvenc
from encoder.codecs.nvenc.request import MAX_B_FRAMES, MAX_CQ, MAX_LOOKAHEAD, Parameters
from encoder.codecs.nvenc.request import PRESETS as NVENC_PRESETS
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import TrackFit
from encoder.splice.h264 import LEVELS, PROFILES
from servicekit.errors import InvalidArgument

MAX_CRF = 51
# Of H.264.
MAX_NUMBER, MAX_REFERENCES = 31, 16

EncodedPart = story_pb2.ScenePart | story_pb2.CaptionPiece


def write(codec: Codec, part: EncodedPart) -> None:
    """Write the settings of a codec into a part."""
    if isinstance(codec, X264):
        part.x264_preset, part.x264_crf = codec.preset, codec.crf
    if isinstance(codec, Nvenc):
        given = codec.worker.parameters
        part.nvenc.CopyFrom(
            story_pb2.NvencSettings(
                format=given.format,
                preset=given.preset,
                cq=given.cq,
                b_frames=given.b_frames,
                lookahead=given.lookahead,
            )
        )


def read(part: EncodedPart, codec: Codec) -> Codec:
    """Return the codec as it is set in a part. Raises InvalidArgument for settings that cannot be."""
    if isinstance(codec, X264) and part.x264_preset:
        if part.x264_preset not in PRESETS or part.x264_crf > MAX_CRF:
            raise _bad_settings("x264")
        return replace(codec, preset=part.x264_preset, crf=part.x264_crf)
    if isinstance(codec, Nvenc) and part.HasField("nvenc"):
        return replace(codec, worker=WorkerClient(_parameters(part.nvenc)))
    return codec


def write_fit(fit: TrackFit) -> story_pb2.SpliceFit:
    """Return what encoded frames keep to, as a piece is told it."""
    return story_pb2.SpliceFit(
        number=fit.number,
        profile=fit.profile,
        level=fit.level,
        references=fit.references,
        reordered=fit.reordered,
    )


def read_fit(given: story_pb2.SpliceFit) -> TrackFit:
    """Return what encoded frames keep to. Raises InvalidArgument for what cannot be."""
    is_known = given.number <= MAX_NUMBER and given.profile in PROFILES.values() and given.level in LEVELS
    if not is_known or max(given.references, given.reordered) > MAX_REFERENCES:
        raise _bad_settings("H.264")
    return TrackFit(given.number, given.profile, given.level, given.references, given.reordered)


def _parameters(given: story_pb2.NvencSettings) -> Parameters:
    is_known = given.preset in NVENC_PRESETS and 1 <= given.cq <= MAX_CQ.get(given.format, 0)
    if not is_known or given.b_frames > MAX_B_FRAMES or given.b_frames + given.lookahead > MAX_LOOKAHEAD:
        raise _bad_settings("NVENC")
    return Parameters(given.format, given.preset, given.cq, given.b_frames, given.lookahead)


def _bad_settings(codec: str) -> InvalidArgument:
    return InvalidArgument(f"The part of the story has settings of {codec} that cannot be.", reason="BAD_PART")
