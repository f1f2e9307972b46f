"""The processes of an encoder: its worker, which speaks to the driver, and the runs of FFmpeg."""

from pathlib import Path

import psutil

from tests.nvdriver.driver import Driver
from tests.support import encoder_harness

WORKER = "encoder.codecs.nvenc.worker"


def workers(encoder: encoder_harness.Encoder) -> list[psutil.Process]:
    """The processes that speak to the driver: one, or none."""
    return [child for child in encoder.children() if WORKER in _command(child)]


def ffmpegs(encoder: encoder_harness.Encoder) -> list[psutil.Process]:
    """All other children."""
    return [child for child in encoder.children() if WORKER not in _command(child)]


def encodes(process: psutil.Process) -> bool:
    """Whether it is an FFmpeg that was told what to do. One that is only loaded yet, to wait for a task, has one
    thread, and goes by another name once it waits."""
    try:
        return "ffmpeg" in process.name() and process.num_threads() > 1
    except psutil.Error:
        return False


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descriptors(pid: int) -> list[str]:
    """What the open file descriptors of a process lead to, numbers apart, sorted."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()).partition(":")[0])
        except FileNotFoundError:  # closed meanwhile
            continue
    return sorted(found)


def at_rest(encoder: encoder_harness.Encoder, driver: Driver) -> bool:
    """Whether no task has left a thing: no session, no folder, no FFmpeg."""
    return not (encoder.task_folders() or ffmpegs(encoder) or driver.state().sessions)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
