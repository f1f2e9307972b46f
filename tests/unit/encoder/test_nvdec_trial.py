"""What the trial of decoding on a card decodes, how FFmpeg is told to, and what its faults are told as."""

import hashlib
from collections.abc import Sequence

import av
import pytest

from encoder.codecs.nvenc import driver, nvdec
from encoder.codecs.nvenc.codec import Nvenc
from encoder.codecs.nvenc.nvdec import Nvdec
from encoder.codecs.nvenc.request import Parameters
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import NO_ACCESS
from encoder.sandbox.sandboxes import SandboxAccess


class FakeFfmpeg:
    """Answers each question alike, and keeps the questions."""

    def __init__(self, code: int, text: str) -> None:
        self.answer = code, text
        self.asked: list[tuple[str, SandboxAccess]] = []

    async def __call__(self, arguments: Sequence[str], access: SandboxAccess = NO_ACCESS) -> tuple[int, str]:
        self.asked.append((" ".join(arguments), access))
        return self.answer


RIGHT = 0, f"MD5={nvdec.CLIP_MD5}\n"


def test_the_clip_holds_what_is_expected_of_it():
    digest = hashlib.md5()
    kinds = set()
    with av.open(str(nvdec.CLIP)) as container:
        for frame in container.decode(video=0):
            kinds.add(frame.pict_type)
            digest.update(frame.reformat(format="nv12").to_ndarray().tobytes())
    assert digest.hexdigest() == nvdec.CLIP_MD5
    assert len(kinds) == 3  # I, P and B


async def test_a_card_is_used_once_it_has_decoded_the_clip():
    cards, ffmpeg = Nvdec(), FakeFfmpeg(*RIGHT)
    run = FfmpegRun(("-i", "a", "b"), ("url", ""))
    assert (cards.is_used, cards.decoding_on(1, run)) == (False, run)
    await cards.try_on([0, 1], ffmpeg)
    assert (cards.is_used, cards.fault, cards.decoding_on(2, run)) == (True, "", run)
    decoding = cards.decoding_on(1, run)
    assert decoding.arguments[-3:] == run.arguments
    assert "cuda=card:1" in decoding.arguments
    assert decoding.devices == driver.devices()
    questions, accesses = zip(*ffmpeg.asked, strict=True)
    assert ["cuda=card:0" in questions[0], "cuda=card:1" in questions[1]] == [True, True]
    assert all(access.has_driver and access.readable == (nvdec.CLIP,) for access in accesses)


async def test_only_what_does_not_decode_is_tried_again():
    cards, ffmpeg = Nvdec(), FakeFfmpeg(*RIGHT)
    await cards.try_on([0, 1], ffmpeg)
    ffmpeg.answer = 1, "cuInit failed -> CUDA_ERROR_UNKNOWN: unknown error"
    await cards.report_failure(0)
    assert (cards.is_used_on(0), cards.is_used_on(1), cards.fault) == (False, True, driver.LOST)
    ffmpeg.answer = RIGHT
    await cards.try_on([0, 1], ffmpeg)
    assert (len(ffmpeg.asked), cards.fault) == (4, "")


async def test_a_card_that_still_decodes_the_clip_is_used_on_after_a_task_failed():
    cards, ffmpeg = Nvdec(), FakeFfmpeg(*RIGHT)
    await cards.try_on([0], ffmpeg)
    await cards.report_failure(0)
    assert (cards.is_used_on(0), cards.fault, len(ffmpeg.asked)) == (True, "", 2)


async def test_while_a_card_is_tried_again_no_task_decodes_there():
    cards, meanwhile = Nvdec(), []

    async def ask(*_: object) -> tuple[int, str]:
        meanwhile.append((cards.is_used, cards.fault))
        if len(meanwhile) == 2:
            await cards.report_failure(0)  # of another task, for which it is not tried once more
        return RIGHT

    await cards.try_on([0], ask)
    await cards.report_failure(0)
    assert (meanwhile, cards.is_used) == ([(False, ""), (False, nvdec.FAILED)], True)


@pytest.mark.parametrize(("frames", "decodes"), [(0, True), (nvdec.FEWEST_FRAMES - 1, False), (10_000, True)])
async def test_a_short_result_is_decoded_in_software(frames: int, decodes: bool):
    codec = Nvenc(WorkerClient(Parameters()), waits=True, decodes=True)
    assert codec.for_frames(1) is codec
    await codec.nvdec.try_on([0], FakeFfmpeg(*RIGHT))
    assert codec.for_frames(frames).nvdec.is_used is decodes


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (0, "MD5=0123\n", nvdec.WRONG),
        (1, "[h264] Cannot load libnvcuvid.so.1\nFailed loading nvcuvid.\nError", nvdec.NO_LIBRARY),
        (1, "cu->cuInit(0) failed -> CUDA_ERROR_OPERATING_SYSTEM: OS call failed", nvdec.SHUT_OUT),
        (1, "bwrap: Can't mount proc on /newroot/proc: Operation not permitted", nvdec.NO_PROC),
        (1, "[CUDA] Cannot load libcuda.so.1\nCould not dynamically load CUDA", nvdec.SHUT_OUT),
        (1, "cuCtxCreate failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory", driver.OUT_OF_MEMORY),
        (1, "cuDeviceGet failed -> CUDA_ERROR_INVALID_DEVICE: invalid device ordinal", driver.NOT_VALID),
        (1, "[h264] Hardware is lacking required capabilities", nvdec.NO_H264),
        (1, "cuInit failed -> CUDA_ERROR_UNKNOWN: unknown error", driver.LOST),
        (1, "Something else\nand more", nvdec.UNKNOWN.format("Something else")),
        (137, "", nvdec.UNKNOWN.format("it ended with 137")),
    ],
)
async def test_a_fault_is_told_with_what_to_do(code: int, text: str, told: str):
    assert await nvdec.find_fault(0, FakeFfmpeg(code, text)) == told
    assert ";" in told or "`" in told


@pytest.mark.parametrize(("error", "told"), [(TimeoutError(), nvdec.TOO_LONG), (OSError(2, "No such"), "No such")])
async def test_what_does_not_answer_is_told(error: OSError, told: str):
    async def ask(*_: object) -> tuple[int, str]:
        raise error

    assert told in await nvdec.find_fault(0, ask)
