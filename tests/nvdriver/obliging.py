"""An FFmpeg that finds a decoder on every card: the stand-in for the driver has none."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import media

# Takes the options for a card, and decodes in software; or fails, where it is told to. For tasks it can have the card
# that the stand-in is, which decodes nothing.
OBLIGING = """#!/bin/sh
echo "$*" >> {log}
case " $* " in *" -hwaccel "*)
  [ ! -e {broken} ] || {{ echo "cuInit(0) failed -> CUDA_ERROR_UNKNOWN: unknown error" >&2; exit 1; }};;
esac
case " $* " in *hwdownload*) ;; *) [ ! -e {lacking} ] || exec {ffmpeg} "$@";; esac
for word in "$@"; do
  shift
  case "$skip$word" in
    -init_hw_device|-hwaccel|-hwaccel_device|-hwaccel_output_format) skip=skipped;;
    skipped*) skip=;;
    hwdownload,format=nv12) set -- "$@" format=nv12;;
    *) set -- "$@" "$word";;
  esac
done
exec {ffmpeg} "$@"
"""


@dataclass(frozen=True)
class ObligingFfmpeg:
    """An FFmpeg for whom every card decodes, unless it is `broken`, or the clip alone, where it is `lacking`; it writes
    down what it is asked."""

    program: Path
    log: Path
    broken: Path
    lacking: Path

    def decodings(self) -> list[str]:
        """The numbers of the cards that it was to decode on, once for each time."""
        return re.findall(r"-init_hw_device cuda=card:(\d+)", self.log.read_text()) if self.log.exists() else []


@pytest.fixture
def obliging(tmp_path: Path) -> ObligingFfmpeg:
    made = ObligingFfmpeg(*(tmp_path / name for name in ("ffmpeg", "ffmpeg.log", "broken", "lacking")))
    words = {"log": made.log, "broken": made.broken, "lacking": made.lacking}
    made.program.write_text(OBLIGING.format(**words, ffmpeg=media.FFMPEG))
    made.program.chmod(0o755)
    return made
