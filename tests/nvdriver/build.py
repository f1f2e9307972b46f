"""Builds the stand-in for NVIDIA's driver: libcuda.so.1 and libnvidia-encode.so.1."""

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
CUDA = ("control", "log", "ledger", "machine", "device", "context", "memory", "stream", "refused")
ENCODE = (
    "api", "av1", "bitstream", "caps", "config", "frame", "guid", "h264", "hevc", "input", "level", "picture", "preset",
    "resource", "seat", "session", "version",
)  # fmt: skip
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-fPIC", "-shared")
# Header → the Debian package that has it.
HEADERS = {
    "ffnvcodec/nvEncodeAPI.h": "libffmpeg-nvenc-dev",
    "x264.h": "libx264-dev",
    "x265.h": "libx265-dev",
    "aom/aom_encoder.h": "libaom-dev",
}


class Missing(Exception):
    """Something that building needs is not installed; the text says what, and how to get it."""


def built(folder: Path, *, encode: bool = True) -> Path:
    """Compile both libraries into `folder`, which is made, and return it.

    Without `encode` there is libcuda only, as in a container without NVIDIA's "video" capability.
    Raises Missing; a source that does not compile raises CalledProcessError with the compiler's words.
    """
    _need()
    folder.mkdir(parents=True, exist_ok=True)
    _link(folder, "libcuda.so.1", CUDA)
    if encode:
        encoders = ("-lx264", "-lx265", "-laom")
        _link(folder, "libnvidia-encode.so.1", ENCODE, f"-L{folder}", "-l:libcuda.so.1", *encoders, "-lm")
    return folder


def program(noun: str, libraries: Path, folder: Path) -> Path:
    """Compile native/`noun`.c into a program that calls the driver of `libraries`."""
    made = folder / noun
    subprocess.run(
        ["gcc", *FLAGS[:-2], "-o", str(made), str(SOURCES / f"{noun}.c"), f"-L{libraries}", "-l:libcuda.so.1",
         "-l:libnvidia-encode.so.1"],
        check=True,
    )  # fmt: skip
    return made


def _need() -> None:
    if shutil.which("gcc") is None:
        raise Missing("gcc is missing: apt-get install gcc libc6-dev")
    for header, package in HEADERS.items():
        found = subprocess.run(
            ["gcc", "-E", "-include", "stdint.h", "-include", header, "-x", "c", "/dev/null"],
            capture_output=True,
            check=False,
        )
        if found.returncode:
            raise Missing(f"{header} is missing: apt-get install {package}")


def _link(folder: Path, library: str, nouns: tuple[str, ...], *libraries: str) -> None:
    linker = (
        f"-Wl,-soname,{library}",
        f"-Wl,--version-script,{SOURCES / library.removesuffix('.so.1')}.map",
        "-Wl,-z,defs",
        "-Wl,-z,nodelete",  # callers unload the driver between two encoders; its count of sessions goes on
        "-Wl,-rpath,$ORIGIN",
    )
    sources = [str(SOURCES / f"{noun}.c") for noun in nouns]
    subprocess.run(["gcc", *FLAGS, *linker, "-o", str(folder / library), *sources, *libraries], check=True)
