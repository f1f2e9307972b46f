"""Gives the stand-in for NVIDIA's driver to a child process, sets its faults and reads what it recorded."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

# What `fault` takes; the C code reads each anew at the calls that it concerns.
SETTINGS = {
    "session_limit": "sessions of all processes at once; more are refused as on a GeForce",
    "session_limit_status": "with which status: 10 out of memory (default), 21 incompatible client key",
    "open_status": "the status with which every session is refused: none",
    "encode_fails_at": "the picture of a session, from 1, that nvEncEncodePicture refuses with NV_ENC_ERR_GENERIC",
    "encode_fails_always": "1: so are all after it",
    "out_of_memory": "1: device memory and bitstream buffers cannot be allocated",
    "memory_bytes": "of the card: 8 GiB; an allocation beyond fails",
    "driver_version": "of CUDA, as cuDriverGetVersion gives it: 13000",
    "api_version": "newest API of the encoder: 13.1",
    "device_lost": "1: every call fails from now on",
    "devices": "how many there are: 1; with 0 cuInit fails",
    "device_file": "a file that cuInit opens for reading and writing, as it does /dev/nvidiactl; without it error 100",
    "counts_none": "1: cuInit goes well all the same, and no card is counted",
    "device_name": "API-GPU stand-in (no GPU)",
    "codecs": "what the chip encodes: h264,hevc,av1; empty for a chip without an encoder",
    "b_frames": "how many it makes at most between two others: 4",
    "encode_delay_ms": "how long every picture takes",
    "null_encode": "1: packets of 6 bytes that hold no picture, at once",
}

# The names of statuses that tests ask for (nvEncodeAPI.h; documentation of the CUDA driver API).
NVENC_STATUSES = {
    0: "NV_ENC_SUCCESS", 1: "NV_ENC_ERR_NO_ENCODE_DEVICE", 2: "NV_ENC_ERR_UNSUPPORTED_DEVICE",
    3: "NV_ENC_ERR_INVALID_ENCODERDEVICE", 4: "NV_ENC_ERR_INVALID_DEVICE", 5: "NV_ENC_ERR_DEVICE_NOT_EXIST",
    6: "NV_ENC_ERR_INVALID_PTR", 8: "NV_ENC_ERR_INVALID_PARAM", 9: "NV_ENC_ERR_INVALID_CALL",
    10: "NV_ENC_ERR_OUT_OF_MEMORY", 11: "NV_ENC_ERR_ENCODER_NOT_INITIALIZED", 12: "NV_ENC_ERR_UNSUPPORTED_PARAM",
    13: "NV_ENC_ERR_LOCK_BUSY", 14: "NV_ENC_ERR_NOT_ENOUGH_BUFFER", 15: "NV_ENC_ERR_INVALID_VERSION",
    16: "NV_ENC_ERR_MAP_FAILED", 17: "NV_ENC_ERR_NEED_MORE_INPUT", 20: "NV_ENC_ERR_GENERIC",
    21: "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY", 22: "NV_ENC_ERR_UNIMPLEMENTED",
    23: "NV_ENC_ERR_RESOURCE_REGISTER_FAILED", 24: "NV_ENC_ERR_RESOURCE_NOT_REGISTERED",
    25: "NV_ENC_ERR_RESOURCE_NOT_MAPPED",
}  # fmt: skip
CUDA_STATUSES = {
    0: "CUDA_SUCCESS", 1: "CUDA_ERROR_INVALID_VALUE", 2: "CUDA_ERROR_OUT_OF_MEMORY", 3: "CUDA_ERROR_NOT_INITIALIZED",
    100: "CUDA_ERROR_NO_DEVICE", 101: "CUDA_ERROR_INVALID_DEVICE", 201: "CUDA_ERROR_INVALID_CONTEXT",
    304: "CUDA_ERROR_OPERATING_SYSTEM", 400: "CUDA_ERROR_INVALID_HANDLE", 801: "CUDA_ERROR_NOT_SUPPORTED",
    999: "CUDA_ERROR_UNKNOWN",
}  # fmt: skip


@dataclass(frozen=True)
class Live:
    """What a process holds, or the sum of several."""

    bytes: int = 0
    sessions: int = 0
    allocations: int = 0
    contexts: int = 0
    registered: int = 0
    mapped: int = 0
    bitstream_buffers: int = 0
    input_buffers: int = 0
    streams: int = 0
    events: int = 0

    def __add__(self, other: "Live") -> "Live":
        return Live(**{name: getattr(self, name) + getattr(other, name) for name in Live.__dataclass_fields__})


@dataclass(frozen=True)
class Call:
    """One call of the driver. `session` is 0 outside of sessions; `live` is what the process held after it."""

    number: int
    function: str
    pid: int
    thread: int
    session: int
    result: int
    live: Live
    violation: str
    parameters: dict[str, Any]

    @property
    def status(self) -> str:
        """The result by its name, such as NV_ENC_ERR_NEED_MORE_INPUT."""
        names = CUDA_STATUSES if self.function.startswith("cu") else NVENC_STATUSES
        return names.get(self.result, str(self.result))

    def __getitem__(self, path: str) -> Any:
        """A parameter by its dotted path: call["rcParams.targetQuality"]."""
        value: Any = self.parameters
        for name in path.split("."):
            value = value[name]
        return value


@dataclass(frozen=True)
class State:
    """Where all processes stand after their last call."""

    processes: dict[int, Live]
    ended: dict[int, Live] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    violations: tuple[Call, ...] = ()

    @property
    def live(self) -> Live:
        """The sum over the processes that still run: with a process, its driver state dies."""
        return sum((held for pid, held in self.processes.items() if _runs(pid)), Live())

    @property
    def sessions(self) -> int:
        """Live sessions of the processes that still run."""
        return self.live.sessions

    @property
    def bytes(self) -> int:
        """Live device memory of the processes that still run."""
        return self.live.bytes


@dataclass(frozen=True)
class Driver:
    """A folder of libraries, a log of calls and a file of settings, for any number of processes."""

    libraries: Path
    log: Path
    control: Path

    def environment(self) -> dict[str, str]:
        """What a child's environment needs so that it finds this driver before any other."""
        path = os.pathsep.join(part for part in (str(self.libraries), os.environ.get("LD_LIBRARY_PATH", "")) if part)
        return {"LD_LIBRARY_PATH": path, "CUDA_STAND_IN_LOG": str(self.log), "CUDA_STAND_IN_CONTROL": str(self.control)}

    def fault(self, **settings: object) -> None:
        """Set what SETTINGS names, also for processes that run already; what was set before stays."""
        unknown = settings.keys() - SETTINGS.keys()
        if unknown:
            raise ValueError(f"the stand-in has no {', '.join(sorted(unknown))}; it has {', '.join(SETTINGS)}")
        self._write(self._settings() | {name: _text(value) for name, value in settings.items()})

    def clear(self, *names: str) -> None:
        """Take back the named settings, or all."""
        self._write({name: value for name, value in self._settings().items() if names and name not in names})

    def calls(self, *functions: str) -> list[Call]:
        """Every call in the order of the log, or those of some functions; numbers count all."""
        return [
            _call(number, line)
            for number, line in enumerate(self._lines(), 1)
            if not functions or line[9 : line.index('"', 9)] in functions
        ]

    def state(self) -> State:
        """Live objects by process, what leaked, what was broken."""
        last: dict[int, tuple[int, str]] = {}
        violations = []
        ended = {}
        for number, line in enumerate(self._lines(), 1):
            pid = int(_PID.search(line)[1])  # type: ignore[index]
            last[pid] = (number, line)
            if '"violation":' in line:
                violations.append(_call(number, line))
            if line.startswith('{"call":"exit"'):
                ended[pid] = _call(number, line).live
        return State(
            processes={pid: _call(*place).live for pid, place in last.items()},
            ended=ended,
            leaks=tuple(call.violation for call in violations if call.function == "exit"),
            violations=tuple(violations),
        )

    def _settings(self) -> dict[str, str]:
        text = self.control.read_text() if self.control.exists() else ""
        return dict(line.split("=", 1) for line in text.splitlines())

    def _write(self, settings: dict[str, str]) -> None:
        new = self.control.with_suffix(".new")
        new.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        new.replace(self.control)

    def _lines(self) -> Iterator[str]:
        if self.log.exists():
            with self.log.open() as lines:
                # Up to a line that is being written: read on, its rest would pass for a line of its own.
                yield from takewhile(lambda line: line.endswith("\n"), lines)


_PID = re.compile(r'"pid":(\d+)')


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _call(number: int, line: str) -> Call:
    said = json.loads(line)
    return Call(
        number=number,
        function=said["call"],
        pid=said["pid"],
        thread=said["thread"],
        session=said["session"],
        result=said["result"],
        live=Live(*said["live"]),
        violation=said.get("violation", ""),
        parameters=said["parameters"],
    )


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
