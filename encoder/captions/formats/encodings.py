"""Encodings of subtitles: what the file shows itself, what the caller or a server says of it, and else a guess."""

import codecs
import re
from dataclasses import dataclass

import chardet

from apigpu.v1 import video_pb2
from encoder.captions.formats.cue import SubtitleError
from encoder.captions.formats.detection import GUESSED, SAMPLE_BYTES, candidates
from encoder.captions.formats.kinds import READ, check_bytes
from servicekit.text import normalize

FIELD = "url_srt"
# That of UTF-32 begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Those that change between sets of letters by escapes, all in seven bits.
ESCAPED = {"iso2022_jp_2": "ISO-2022-JP", "iso2022_kr": "ISO-2022-KR"}
UNICODE = {"utf-8": "UTF-8", **{f"utf-{form}": f"UTF-{form.upper()}" for form in ("16-le", "16-be", "32-le", "32-be")}}
NAMES = {**GUESSED, **ESCAPED, **UNICODE}
# What is meant by names of smaller sets. Source: WHATWG's Encoding Standard, 4.2.
SUPERSETS = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "euc_jp": "euc_jis_2004",
    "iso2022_jp": "iso2022_jp_2",
    "utf-8-sig": "utf-8",
}
# Codecs of text that the names of Python's lead to beside these: no compression, no escapes of programs.
OTHERS = re.compile(
    r"ascii|cp(437|7\d\d|8\d\d|950|1125)|iso8859-\d\d?|koi8-t|kz1048|ptcp154|mac-[a-z0-9]+|hz|johab|utf-(16|32)"
    r"|shift_jis\w*|euc_j\w+|iso2022_\w+"
)
CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
# What a server calls text of which it knows nothing: no more than that it is not UTF-8.
DEFAULT = "cp1252"

# Of text in UTF-16 every second byte is 0 where it has digits, blanks and Latin letters, in UTF-32 nearly all are: any
# subtitles have many.
WIDE_SAMPLE_BYTES = 4096
ZEROS_OF_16, ZEROS_OF_32 = 0.2, 0.6
ESCAPES = re.compile(rb"\x1b(?:\$|\([BIJ])")
# So many letters that are right for one that is not make UTF-8 that is damaged.
UTF8_SHARE = 2
# So many letters of several bytes in a row of right ones are no coincidence.
SURELY_UTF8 = 4
# A file that was written as text, with the line ends of text, twice or more.
DAMAGED_END = re.compile(r"(?<!\r)\r+\n")
# What Python says of a letter that is cut off, in its codecs.
CUT = ("unexpected end", "incomplete", "truncated")
NO_TEXT = f"it is not a text file; give {READ}."
# What a tool that crashed leaves in a text; of other files it is more, and other controls are beside it.
MAX_ZEROS = 0.05
CONTROLS = re.compile(r"[\x01-\x08\x0e-\x19\x1b-\x1f]")


class CharsetError(ValueError):
    """The encoding that the caller names is none, or is not that of the file."""


@dataclass(frozen=True)
class DecodedText:
    """The text of a file, in composed letters (NFC); lines end in \\n. `encoding` is the name of what it was in."""

    text: str
    encoding: str
    warnings: tuple[video_pb2.Warning, ...] = ()


def decode(data: bytes, charset: str = "", declared: str = "") -> DecodedText:
    """Return the text of a file. A byte order mark wins over `charset`, which the caller names; `declared` is what a
    server says, and counts where it can be. Raises SubtitleError, CharsetError."""
    check_bytes(data)
    mark = next(((mark, name) for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    wanted = _codec(charset) if charset else ""
    if charset and not wanted:
        raise CharsetError(
            f"'{charset[:40]}' is no encoding that is known here; give one like windows-1251, shift_jis or utf-8, or "
            "leave it out."
        )
    warnings = []
    if mark is not None:
        codec, text = mark[1], _decode_marked(data[len(mark[0]) :], mark[1])
        if wanted and not mark[1].startswith(wanted):
            warnings.append(_ignored(charset, NAMES[codec]))
    elif wanted:
        codec, text = _decode_wanted(data, wanted, charset)
    else:
        codec, text, is_guess = _decode_unnamed(data, _codec(declared))
        if is_guess:
            warnings.append(_guess(NAMES.get(codec, codec)))
    return DecodedText(_plain(text), NAMES.get(codec, codec), (*warnings, *_unreadable(data, codec, text)))


def _codec(name: str) -> str:
    """Return the codec of an encoding; "" for a name of none."""
    name = name.strip().lower()
    named = {shown.lower(): codec for codec, shown in NAMES.items()}
    for form in (name, name.removeprefix("x-"), name.replace("windows-", "cp")):
        if form in named:
            return named[form]
        try:
            found = codecs.lookup(form).name if CHARSET.fullmatch(form) else ""
        except LookupError:
            continue
        if found := SUPERSETS.get(found, found):
            return found if found in NAMES or OTHERS.fullmatch(found) else ""
    return ""


def _decode_marked(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if codec == "utf-8" or _is_cut(error):
            return data.decode(codec, errors="replace")
        text = f"its byte order mark says {NAMES[codec]}, but byte {error.start} does not fit; save it again."
        raise SubtitleError(text) from error


def _decode_wanted(data: bytes, codec: str, charset: str) -> tuple[str, str]:
    """Return codec and text of a file in the encoding that the caller names. Raises CharsetError."""
    wide = _wide(data)
    if codec in ("utf-16", "utf-32"):
        codec = wide if wide.startswith(codec) else f"{codec}-le"
    fits, bad = _utf8_letters(data)
    # What UTF-16 is not has no bytes of 0, and nearly any two bytes are one of its letters.
    if wide != (codec if codec.startswith(("utf-16", "utf-32")) else ""):
        raise CharsetError(_misfit(charset, NAMES.get(wide, "")))
    if codec not in UNICODE and not bad and fits >= SURELY_UTF8:
        raise CharsetError(_misfit(charset, "UTF-8"))
    try:
        return codec, data.decode(codec)
    except UnicodeDecodeError as error:
        if _is_cut(error):
            return codec, data.decode(codec, errors="replace")
        line = data.count(b"\n", 0, error.start) + 1
        text = f"the file is not in {charset[:40]}: byte {error.start}, in line {line}, does not fit"
        raise CharsetError(f"{text}; name another, or leave it out.") from error


def _misfit(charset: str, found: str) -> str:
    is_in = f"; it is in {found}" if found else ""
    return f"the file is not in {charset[:40]}{is_in}; name another, or leave it out."


def _decode_unnamed(data: bytes, declared: str) -> tuple[str, str, bool]:
    """Return codec and text of a file without a mark, and True if it is a guess."""
    if wide := _wide(data):
        try:
            return wide, data.decode(wide), not declared.startswith(wide[:6])
        except UnicodeDecodeError as error:
            if not _is_cut(error):
                text = f"it looks like {NAMES[wide]}, but byte {error.start} does not fit; save it again."
                raise SubtitleError(text) from error
            return wide, data.decode(wide, errors="replace"), True
    if ESCAPES.search(data):
        found = _detect(data[:SAMPLE_BYTES], ESCAPED)
        if found:
            return found, data.decode(found, errors="replace"), declared != found
    fits, bad = _utf8_letters(data)
    believed = _strict(data, declared) if bad and declared not in ("", "utf-8", "ascii", DEFAULT) else None
    if believed is not None:
        return declared, believed, False
    # Letters of other encodings hardly ever look like it.
    if fits >= UTF8_SHARE * bad:
        return "utf-8", data.decode("utf-8", errors="replace"), False
    for codec in candidates(data):
        fitting = _strict(data, codec)
        if fitting is not None:
            return codec, fitting, codec != declared
    return DEFAULT, data.decode(DEFAULT, errors="replace"), True


def _detect(sample: bytes, among: dict[str, str]) -> str:
    found = chardet.detect(sample, include_encodings=among, compat_names=False)["encoding"]
    return found if found in among else ""


def _strict(data: bytes, codec: str) -> str | None:
    """Return the text of a file, of which the last letter may be cut off; None where it is in another codec."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        return data.decode(codec, errors="replace") if _is_cut(error) else None
    except LookupError:
        return None


def _is_cut(error: UnicodeDecodeError) -> bool:
    """Return True if all that does not fit is the last letter, of which a part is missing."""
    return error.end == len(error.object) and any(word in error.reason for word in CUT)


def _utf8_letters(data: bytes) -> tuple[int, int]:
    """Return the letters beyond ASCII of a file in UTF-8, and what is none; one cut off at the end is neither."""
    if data.isascii():
        return 0, 0
    text, whole = (codecs.getincrementaldecoder("utf-8")(errors).decode(data) for errors in ("replace", "ignore"))
    return sum(letter > "\x7f" for letter in whole), len(text) - len(whole)


def _wide(data: bytes) -> str:
    """Return the codec of UTF-16 or UTF-32 that a file looks like; "" for none."""
    sample = data[:WIDE_SAMPLE_BYTES]
    zeros = [sample[place::4].count(0) / max(len(sample[place::4]), 1) for place in range(4)]
    if min(zeros[2:]) > ZEROS_OF_32 and zeros[0] < ZEROS_OF_16:
        return "utf-32-le"
    if min(zeros[:2]) > ZEROS_OF_32 and zeros[3] < ZEROS_OF_16:
        return "utf-32-be"
    for name, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        if high and high.count(0) / len(high) > ZEROS_OF_16 and 0 not in low:
            return name
    return ""


def _plain(text: str) -> str:
    text = DAMAGED_END.sub("\n", text).replace("\r", "\n").rstrip("\0")
    if "\0" in text and (text.count("\0") > MAX_ZEROS * len(text) or CONTROLS.search(text)):
        raise SubtitleError(NO_TEXT)
    # Composed: fonts have "é" more often than they can put an accent on "e".
    return normalize("NFC", text)


def _guess(name: str) -> video_pb2.Warning:
    text = (
        f"{FIELD}: the file does not say its encoding, which was taken for {name}; if letters are wrong, save it as "
        "UTF-8, or name the encoding in `charset`."
    )
    return video_pb2.Warning(reason="ENCODING_GUESSED", message=text, metadata={"encoding": name})


def _ignored(charset: str, name: str) -> video_pb2.Warning:
    text = f"charset: the file's byte order mark says {name}, which counts; leave charset ({charset[:40]}) out."
    return video_pb2.Warning(reason="CHARSET_IGNORED", message=text, metadata={"encoding": name})


def _unreadable(data: bytes, codec: str, text: str) -> list[video_pb2.Warning]:
    """Return a warning of letters that cannot be read, if there are any."""
    count = text.count("\ufffd")
    if not count or (codec in UNICODE and count == data.decode(codec, errors="ignore").count("\ufffd")):
        return []
    name, line = NAMES.get(codec, codec), text.count("\n", 0, text.index("\ufffd")) + 1
    message = (
        f"{FIELD}: {count} letters, the first in line {line}, are damaged, or not in {name} like the others; save the "
        "file as UTF-8 where it was made."
    )
    metadata = {"encoding": name, "letters": str(count), "line": str(line)}
    return [video_pb2.Warning(reason="UNREADABLE_LETTERS", message=message, metadata=metadata)]
