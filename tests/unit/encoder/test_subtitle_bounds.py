"""Subtitles that would take hours: each reader takes time in step with the file, and files have bounds."""

import operator
from collections.abc import Callable
from pathlib import Path

import pytest

from apigpu.v1 import caption_style_pb2
from encoder.captions import ass, fonts, formats, karaoke, lettering, styles, word_matching
from encoder.captions.formats import Cue, SubtitleError, colors, markup
from encoder.captions.formats import cue as file_cues
from encoder.captions.line_breaks import HYPHEN
from encoder.captions.measuring import open_captions, open_script
from encoder.captions.script_lines import ScriptJudge
from encoder.captions.wrapping import CaptionFitter
from servicekit.errors import InvalidArgument
from tests.support import captions
from tests.support.growth import assert_grows_gently

SRT = "1\n00:00:01,000 --> 00:00:09,000\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:09.000\n"
ASS = "[Script Info]\n\n[V4+ Styles]\nFormat: Name, Fontname\n{styles}\n[Events]\nFormat: Start, End, Text\n{events}\n"
TTML = "<tt><body><div>{}</div></body></tt>"
JSON_WORDS = '{"word":" b","start":1,"end":2},'
MARKS = "\u0301\u0327"

# Each makes a file of a size that grows in step with a number.
FILES: dict[str, Callable[[int], str]] = {
    "marks": lambda size: SRT + "x" + MARKS * size,
    "marks on many": lambda size: SRT + ("x" + MARKS * 400) * (size // 400),
    "cues": lambda size: "".join(f"{n}\n00:00:01,000 --> 00:00:02,000\nHi\n\n" for n in range(size // 20)),
    "numbers": lambda size: SRT + "1\n" * size,
    "blanks": lambda size: SRT + "x\n" + " \n" * size,
    "unclosed": lambda size: SRT + "<i " * size,
    "one unclosed": lambda size: SRT + "<font " + "x" * size,
    "carriage returns": lambda size: SRT + "x" + "\r" * size,
    "clocks": lambda size: SRT + "0" * size + " --> " + "0" * size,
    "vtt tags": lambda size: VTT + "<b>x</b>" * size,
    "vtt word times": lambda size: VTT + "x<00:02.000>" * size,
    "vtt classes": lambda size: VTT + "<c." + "x." * size + ">",
    "vtt settings": lambda size: VTT.replace("09.000", "09.000 " + "a:b " * size) + "x",
    "vtt unclosed": lambda size: VTT + "<" * size,
    "vtt styles": lambda size: "WEBVTT\n\nSTYLE\n" + "::cue(.a){color:red}/*" * size + "\n\n" + VTT[8:] + "x",
    "vtt regions": lambda size: "WEBVTT\n\n" + "REGION id:a width:1%\n\n" * (size // 10) + VTT[8:] + "x",
    "vtt open braces": lambda size: VTT + "{\\" * size,
    "srt commands": lambda size: SRT + "{\\i1\\c&HFF&}x" * size,
    "srt one command": lambda size: SRT + "{\\" + "i1\\" * size + "}x",
    "srt backslashes": lambda size: SRT + "{" + "\\" * size,
    "srt folders": lambda size: SRT + "a:" * size + "\\N",
    "srt nested": lambda size: SRT + "<c>" * size + "</b>" * size,
    "srt names of letters": lambda size: SRT + "&amp;" * size + "&amp" * size + "&" * size,
    "srt blank times": lambda size: SRT + ("0 " * size + "-->\n") * 3 + "[" * size + " -->",
    "srt arrows": lambda size: SRT + "-" * size + "> 0:0",
    "srt fences": lambda size: "```\n" * size + SRT,
    "srt escaped": lambda size: (SRT + "x\n").replace("\n", "\\n") + "\\n" * size,
    "srt doubled": lambda size: (SRT + "x\n").replace("\n", "\n\n") + "\n" * size,
    "sbv": lambda size: "0:00:01.000,0:00:04.000\n" + "[br]" * size,
    "lrc times": lambda size: "[00:01.00]" * size + "x",
    "lrc lines": lambda size: "".join(f"[00:{n % 60:02}.00]x <00:01.50>y\n" for n in range(size // 20)),
    "lrc tags": lambda size: "[00:01.00]x\n[a:" + "] " * size + "x",
    "ttml elements": lambda size: TTML.format("<p begin='1s' end='2s'>x<br/></p>" * (size // 10)),
    "ttml parts": lambda size: TTML.format("<p begin='1s' end='2s'>" + "<span begin='1s'>x </span>" * size + "</p>"),
    "ttml texts": lambda size: TTML.format("<p begin='1s' end='2s'>" + "x &amp; \n " * size + "</p>"),
    "ttml styles": lambda size: TTML.format("<style xml:id='a' style='a a'/>" * size + "<p begin='1s' end='2s'>x</p>"),
    "ttml attributes": lambda size: TTML.format("<p begin='1s' " + "".join(f"a{n}='' " for n in range(size)) + "/>"),
    "ttml open": lambda size: TTML.format("<p begin='" + "1" * size),
    "ttml head": lambda size: "<?xml" + " <tt" * size,
    "sami": lambda size: "<sami>" + "<sync start=1><p class=a>x\n" * (size // 4),
    "sami unclosed": lambda size: "<sami>" + "<sync start=1 " * size,
    "sami one": lambda size: "<sami><sync " + "start=" * size + "><p>" + "<p class=" * size,
    "microdvd": lambda size: "{1}{1}25\n" + "{1}{}x|{y:i}y\n" * (size // 4),
    "mpl2": lambda size: "[1][2]" + "/|" * size,
    "json words alone": lambda size: '{"words":[' + '{"start":1,"end":2,"word":"x"},' * (size // 4) + "{}]}",
    "json segments": lambda size: "[" + '{"start":1,"end":2,"text":"x"},' * (size // 4) + "{}]",
    "json words": lambda size: (
        '[{"start":1,"end":2,"text":"' + "a b " * size + '","words":[' + JSON_WORDS * size + "{}]}]"
    ),
    "json nested": lambda size: '[{"a":' * size,
    "json number": lambda size: '[{"start":' + "1" * size + "}]",
    "vtt letters by number": lambda size: VTT + "&#" + "1" * size + ";",
    "ass braces": lambda size: ASS.format(styles="", events="Dialogue: 0:0:0,0:0:1," + "{" * size),
    "ass fonts": lambda size: ASS.format(styles="", events="Dialogue: 0:0:0,0:0:1," + "{\\fnA}x" * size),
    "ass fields": lambda size: ASS.format(styles="Format: " + "x," * size, events="Dialogue: 0:0:0,0:0:1,x"),
    "ass styles": lambda size: ASS.format(styles="Style: A,B\n" * (size // 10), events="Dialogue: 0:0:0,0:0:1,x"),
}


def read_cues(text: str) -> tuple[Cue, ...]:
    found = formats.read(text.encode())
    assert isinstance(found, formats.Subtitles)
    return found.cues


@pytest.mark.parametrize("name", FILES)
def test_reading_grows_evenly(name: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        data = FILES[name](size).encode()

        def read() -> object:
            try:
                return formats.read(data)
            except SubtitleError as error:
                return error

        return read

    assert_grows_gently(prepare, operator.call, 2000)


@pytest.mark.parametrize("text", ["<font color=" + " " * 20_000, "color" + " " * 20_000, "color=\"'" * 4000])
def test_a_color_is_sought_in_linear_time(text: str) -> None:
    assert_grows_gently(
        lambda size: lambda: markup.read_marks(f"<font {text * 4}"[: size * 4] + ">"), operator.call, 1000
    )


def test_a_color_is_read_in_linear_time() -> None:
    assert_grows_gently(lambda size: lambda: colors.parse_color("rgb(" + "1 , " * size), operator.call, 1000)


def test_word_times_grow_evenly() -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = "x " * size
        cue = Cue(0, 1_000_000, text, tuple((2 * number, number) for number in range(size)))
        return lambda: karaoke.timed_words(cue)

    assert_grows_gently(prepare, operator.call, 1000)


def test_dropping_letters_grows_evenly() -> None:
    def prepare(size: int) -> Callable[[], object]:
        cue = Cue(0, 1_000_000, "x\u00e9 " * size, tuple((3 * number, number) for number in range(size)))
        words = karaoke.timed_words(cue)
        return lambda: (lettering.drop_from_cue(cue, {"\u00e9"}), lettering.drop_from_words(words, cue, {"\u00e9"}))

    assert_grows_gently(prepare, operator.call, 2000)


Said = caption_style_pb2.CaptionWord
# Each makes a caption's text and the words that are given for it.
MATCHES: dict[str, Callable[[int], tuple[str, list[caption_style_pb2.CaptionWord]]]] = {
    "marks": lambda size: (f"x{MARKS * 500} " * (size // 50), [Said(text="x" + MARKS * 500)] * (size // 50)),
    "letters": lambda size: ("一" * size, [Said(text="一")] * size),
    "dictionary": lambda size: ("สวัสดีครับ" * (size // 10), [Said(text="สวัส"), Said(text="ดีครับ")] * (size // 10)),
    "signs": lambda size: ("- " * size + "x", [*[Said(text="-")] * size, Said(text="x")]),
    "every other word": lambda size: ("once two " * size, [Said(text="once"), Said(text="zwo")] * size),
    "no fit behind a fit": lambda size: ("a" * 2 * size, [*[Said(text="a")] * size, *[Said(text="ab")] * (size // 2)]),
    "one long word": lambda size: ("x" * size, [Said(text="x" * size)]),
    "no times": lambda size: ("x " * size, [Said(text="x")] * size),
}


@pytest.mark.parametrize("name", MATCHES)
def test_matching_words_grows_evenly(name: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        text, words = MATCHES[name](size)
        return lambda: word_matching.match_words([Cue(0, 1000, text)], words)

    assert_grows_gently(prepare, operator.call, 200)


def test_words_are_sought_in_bounded_time() -> None:
    """Words that fit nowhere near, each with a time at which another of many captions is shown."""

    def prepare(size: int) -> Callable[[], object]:
        fitting = [Said(text="fits", start=0, end=1) for _ in range(3 * size)]
        odd = [Said(text=f"q{number}", start=size * 4 - number, end=size * 4) for number in range(size)]
        cues = [Cue(number * 1000, number * 1000 + 1000, "fits") for number in range(4 * size)]
        return lambda: word_matching.match_words(cues, [*fitting, *odd])

    assert_grows_gently(prepare, operator.call, 60)


# Texts of one caption that could take long to lay out.
LAID_OUT: dict[str, Callable[[int], str]] = {
    "one word": lambda size: "x" * size,
    "words": lambda size: "word " * size,
    "dictionary": lambda size: "สวัสดีครับวันนี้" * (size // 10),
    "ideographs": lambda size: "一" * size,
    "styles": lambda size: "<b>x</b><i>y</i>" * size,
    "lines": lambda size: "x\n" * size,
    "blanks": lambda size: " " * size + "x" * 100,
    "soft hyphens": lambda size: "ab\u00ad" * size,
    "marks": lambda size: ("x" + MARKS * 15) * (size // 10),
    "joined": lambda size: "😀\u200d" * size,
    "address": lambda size: "a/1" * size,
    "both ways": lambda size: "אa" * size,
}


@pytest.mark.parametrize("name", LAID_OUT)
def test_laying_out_grows_evenly(name: str, tmp_path: Path) -> None:
    lettered = None if name == "ideographs" else captions.furnish(tmp_path / "fonts", LAID_OUT[name](20) + HYPHEN)

    def prepare(size: int) -> Callable[[], object]:
        cue = Cue(0, 1000, LAID_OUT[name](size))

        def fit() -> object:
            # Anew each time, as what was measured once is known.
            measurer = open_captions(tmp_path / "fonts", lettered) if lettered else captions.EvenMeasurer()
            return CaptionFitter(measurer, styles.CLASSIC, 360, 64_000).fit(cue, [])

        return fit

    assert_grows_gently(prepare, operator.call, 200)


def test_judging_a_script_grows_evenly(tmp_path: Path) -> None:
    captions.library().furnish_script(tmp_path / "fonts", {fonts.FAMILY: set("x ")})

    def prepare(size: int) -> Callable[[], object]:
        line = "Dialogue: 0:0:0,0:0:1," + "{\\b1}x {\\fs20\\pos(1,1)}" * size + "x" * size
        script = formats.read(ASS.format(styles="Style: Default,Fira Sans", events=line).encode())
        assert isinstance(script, formats.Script)
        judge = ScriptJudge(open_script(tmp_path / "fonts", [fonts.FAMILY]), 640, 360)
        return lambda: judge.warnings(script)

    assert_grows_gently(prepare, operator.call, 60)


def test_writing_grows_evenly() -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = "<font color=red>{\\x}" * size
        return lambda: ass.to_ass(text)

    assert_grows_gently(prepare, operator.call, 1000)


@pytest.mark.parametrize("kind", ["srt", "vtt", "ass"])
def test_a_file_has_a_bounded_number_of_captions(kind: str) -> None:
    count = file_cues.MAX_CUES + 1
    text = {
        "srt": "0:0:0 --> 0:0:1\nx\n" * count,
        "vtt": "WEBVTT\n\n" + "00:00.000 --> 00:01.000\nx\n\n" * count,
        "ass": ASS.format(styles="", events="Dialogue: 0:0:0,0:0:1,x\n" * count),
    }[kind]
    with pytest.raises(SubtitleError, match="100,000 captions"):
        formats.read(text.encode())


@pytest.mark.parametrize("head", [SRT, VTT])
def test_a_caption_has_a_bounded_length(head: str) -> None:
    assert formats.read((head + "x" * 19_000).encode())
    with pytest.raises(SubtitleError, match=r"caption 1, line .*20,000 letters"):
        formats.read((head + "x" * 21_000).encode())


@pytest.mark.parametrize("line", ["1" * 5000, "²", "1" * 5000 + "%", "٣"])
def test_a_strange_line_is_no_failure(line: str) -> None:
    text = VTT.replace("09.000", f"09.000 line:{line}") + "x&#" + "9" * 5000 + ";"
    (cue,) = read_cues(text)
    assert cue.text.endswith("x\ufffd")


def test_an_error_quotes_no_more_than_a_line() -> None:
    word = caption_style_pb2.CaptionWord(text="y" * 100_000, start=0, end=1)
    with pytest.raises(InvalidArgument) as caught:
        word_matching.match_words([Cue(0, 1000, "x" * 100_000)], [word])
    assert len(caught.value.message) < 400


def test_a_time_after_the_last_word_is_borne() -> None:
    (cue,) = read_cues(VTT + "one <00:02.000>two   <00:03.000>")
    assert lettering.drop_from_cue(cue, {"w"}).text == "one to"
