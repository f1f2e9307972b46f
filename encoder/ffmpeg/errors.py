"""FFmpeg's messages as errors for callers. Paths of the server, which its own words can name, stay in the log."""

import re
import signal
from collections.abc import Sequence

from encoder.media.info import CUT_OFF_TEXT, PROTECTED_TEXT
from servicekit.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

DAMAGED_TEXT = "the file is damaged and cannot be decoded; send it again, or convert it first."

Meaning = tuple[type[ServiceError], str, str]
"""Class, reason and text of an error; `{}` in the text stands for what FFmpeg said last."""

RESULT_TOO_LARGE: Meaning = (
    FailedPrecondition,
    "RESULT_TOO_LARGE",
    "the result is larger than the encoder may write (MAX_RESULT_BYTES); make it shorter or smaller.",
)
TABLE: dict[str, Meaning] = {
    r"No space left on device|Disk quota exceeded": (
        ResourceExhausted,
        "DISK_FULL",
        "the disk of the encoder is full; try again later.",
    ),
    # A thread that finds no room for its stack is told that a resource is away for the moment.
    r"Cannot allocate memory|Resource temporarily unavailable": (
        FailedPrecondition,
        "TOO_MUCH_MEMORY",
        "the picture needs more memory than the encoder gives a task (MAX_MEMORY_BYTES); give a smaller one.",
    ),
    r"File too large": RESULT_TOO_LARGE,
    r"partial file|File ended prematurely|[Tt]runcat": (InvalidArgument, "BAD_INPUT", CUT_OFF_TEXT),
    r"\bDRM\b|[Ee]ncrypt|[Dd]ecrypt|activation.bytes": (
        FailedPrecondition,
        "UNSUPPORTED_INPUT",
        PROTECTED_TEXT,
    ),
    r"[Dd]ecoder .* not found|[Nn]o decoder found|Decoding requested, but no decoder|[Uu]nknown decoder": (
        FailedPrecondition,
        "UNSUPPORTED_INPUT",
        "the file is in a format that cannot be decoded here; convert it to H.264 with AAC first.",
    ),
    r"[Nn]ot (yet )?implemented|[Uu]nsupported|[Nn]ot supported|Protocol not found|patchwelcome|PATCHWELCOME": (
        FailedPrecondition,
        "UNSUPPORTED_INPUT",
        "the file has something that cannot be read here, FFmpeg says “{}”; convert it to H.264 with AAC first.",
    ),
    r"matches no streams|does not contain any stream": (
        InvalidArgument,
        "BAD_INPUT",
        "the file lacks the stream that is needed; give another.",
    ),
    r"Invalid data found|moov atom not found|Decode error rate|[Cc]orrupt": (
        InvalidArgument,
        "BAD_INPUT",
        DAMAGED_TEXT,
    ),
    r"Nothing was written|Error (opening|decoding|while decoding|while filtering|submitting|binding an input stream)": (
        InvalidArgument,
        "BAD_INPUT",
        "no result can be made of the file, FFmpeg says “{}”; convert it to H.264 with AAC first.",
    ),
}
"""Pattern in FFmpeg's messages to its meaning; the first that is found counts."""

UNKNOWN = "FFmpeg failed, and says “{}”; the encoder's log has more."
SILENT = "FFmpeg failed for a reason that is not known; the encoder's log has more."
# Said of every failure, whatever it came of.
COMMON_WORDS = re.compile(
    r"Nothing was written|Conversion failed|Error (opening|submitting|sending|closing|while|writing|muxing)"
    r"|Task finished|Terminating thread|received no packets|^Error (initializ|reinit)ing a simple filtergraph$"
)
SPEAKER = re.compile(r"^(\[[^\]]*\]\s*)+")
PATH = re.compile(r"(?:file:)?/[^\s:'\"]+|\b0x[0-9a-fA-F]+")
# Of those that speak "in#0/mov" is no path.
WHOLE_PATH = re.compile(r"(?<!\w)(?:file:)?/[^\s:'\"]+|\b0x[0-9a-fA-F]+")
MAX_QUOTED_CHARS = 160
# Of the log that goes with a task's end: with an error it travels in headers, of which clients take 8 KiB.
MAX_LOG_BYTES = 3 * 1024
MAX_LOG_LINE_CHARS = 500
# Said of each run with captions: there is no Fontconfig on purpose, as all fonts are given.
USUAL = re.compile(r"^Fontconfig error: Cannot load default config file|Failed to load fontconfig fonts!$")

SIGNALLED = 128
# FFmpeg's own code for a signal that it heeds: no other is sent than the one of used up processor time.
INTERRUPTED = 255
SIGNALS: dict[signal.Signals, Meaning] = {
    signal.SIGKILL: (
        Unavailable,
        "KILLED",
        "FFmpeg was killed on the encoder, likely for lack of memory; try again.",
    ),
    signal.SIGXCPU: (
        FailedPrecondition,
        "TOO_MUCH_WORK",
        "The task needs more CPU time than the encoder gives one (MAX_TASK_SECONDS on every core); give it less to do.",
    ),
    signal.SIGXFSZ: RESULT_TOO_LARGE,
}
"""What it means that FFmpeg ended by a signal."""

# Said of runs that FFmpeg itself calls a success, having made do with what there was.
CUT_OFF = r"partial file|File ended prematurely"
# Of stills anything that FFmpeg's parts call an error, as they show a part of the picture then, or none; but for what
# stands beside the picture.
IMAGE_DAMAGE = r"^\[(?!.*(?i:exif|icc|xmp|iptc|metadata))"
IMAGE_CUT_OFF = rf"{CUT_OFF}|overread|LZW decode failed|not enough data|[Tt]runcat"
INPUT = re.compile(r"(?:in#|ist#|\binput)(\d+)")


def ffmpeg_error(messages: Sequence[str], return_code: int, fields: Sequence[str]) -> ServiceError:
    """Return the error behind a failed run; `fields` are the fields of its inputs, in order."""
    # Bubblewrap reports a signal as a shell does: 128 and its number.
    number = -return_code if return_code < 0 else return_code - SIGNALLED
    if number in SIGNALS:
        return _input_error(*SIGNALS[signal.Signals(number)], "")
    text = "\n".join(messages)
    for pattern, (cls, reason, meaning) in TABLE.items():
        if re.search(pattern, text):
            quoted = meaning.format(_last_words(messages, pattern)) if "{}" in meaning else meaning
            return _input_error(cls, reason, quoted, _input_field(text, fields))
    if return_code == INTERRUPTED:
        return _input_error(*SIGNALS[signal.SIGXCPU], "")
    said = _last_words(messages)
    return Internal(UNKNOWN.format(said) if said else SILENT, reason="FFMPEG_FAILED")


def _last_words(messages: Sequence[str], pattern: str = "") -> str:
    """Return what FFmpeg said last that tells the failure apart from others, without what only the server knows; of
    messages where one matches `pattern`, and is no such phrase, that one."""
    said = [words for message in messages if (words := _plain(message))]
    telling = [words for words in said if not COMMON_WORDS.search(words)]
    named = [words for words in telling if pattern and re.search(pattern, words)]
    return (named or telling or said or [""])[-1][:MAX_QUOTED_CHARS]


def _plain(message: str) -> str:
    """Return a message without the part of FFmpeg that speaks, paths and addresses."""
    return _printable(SPEAKER.sub("", message), PATH)


def _printable(message: str, paths: re.Pattern[str] = WHOLE_PATH) -> str:
    """Return a message on one line, without paths and addresses of the encoder."""
    words = paths.sub("…", message)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())


def log_end(messages: Sequence[str]) -> str:
    """Return the end of what FFmpeg said as callers may read it: a message a line, MAX_LOG_BYTES at most."""
    lines: list[str] = []
    free_bytes = MAX_LOG_BYTES
    for message in reversed([message for message in messages if not USUAL.search(message)]):
        line = _printable(message)[:MAX_LOG_LINE_CHARS]
        free_bytes -= len(line.encode(errors="replace")) + 1
        if free_bytes < 0:
            break
        lines += [line] if line else []
    return "\n".join(reversed(lines))


def cut_off(messages: Sequence[str], signs: str, fields: Sequence[str]) -> ServiceError | None:
    """Return the error of a run that went well with a file that is cut off, if its messages match the pattern `signs`;
    by none, "", such files are taken as they are."""
    for message in messages if signs else ():
        if re.search(signs, message):
            text = CUT_OFF_TEXT if re.search(IMAGE_CUT_OFF, message) else DAMAGED_TEXT
            return _input_error(InvalidArgument, "BAD_INPUT", text, _input_field(message, fields))
    return None


def _input_error(cls: type[ServiceError], reason: str, meaning: str, field: str) -> ServiceError:
    if not field or not issubclass(cls, (InvalidArgument, FailedPrecondition)):
        return cls(meaning[0].upper() + meaning[1:], reason=reason)
    return cls(f"{field}: {meaning}", reason=reason, fields={field: meaning})


def _input_field(text: str, fields: Sequence[str]) -> str:
    """Return the field of the input that the messages name; of a run with one input, that one."""
    named = INPUT.search(text)
    number = int(named[1]) if named else 0
    return fields[number] if number < len(fields) and (named or len(fields) == 1) else ""
