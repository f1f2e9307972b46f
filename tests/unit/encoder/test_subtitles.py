"""Subtitles as they are found in the wild, to cues; and cues to ASS text."""

import pytest

from encoder.captions import ass, styles
from encoder.captions.formats import Cue, Place, Script, SubtitleError, Subtitles, read

BOTH = "1\n00:00:01,000 --> 00:00:02,000\nOne\nline\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n"


def parse(data: bytes) -> list[Cue]:
    found = read(data)
    assert isinstance(found, Subtitles)
    return list(found.cues)


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("1\n00:00:01,000 --> 00:00:02,500\nOne\n", [Cue(1000, 2500, "One")]),
        ("1\n0:0:1,5 --> 0:0:2\nOne\n", [Cue(1500, 2000, "One")]),
        ("1\n00:00:01.000 --> 00:00:02.000 X1:1 X2:2\nOne\nTwo\n", [Cue(1000, 2000, "One\nTwo")]),
        (  # no blank line between cues
            "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n",
            [Cue(1000, 2000, "One"), Cue(3000, 4000, "Two")],
        ),
        (  # overlapping, and in any order
            "1\n00:00:03,000 --> 00:00:05,000\nOne\n\n2\n00:00:01,000 --> 00:00:04,000\nTwo\n",
            [Cue(3000, 5000, "One"), Cue(1000, 4000, "Two")],
        ),
        ("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nafter a blank\n", [Cue(1000, 2000, "One\n\nafter a blank")]),
        (  # cut off behind the times
            "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n2\n00:00:03,000 --> 00:00:04,000",
            [Cue(1000, 2000, "One")],
        ),
        ("1\n100:00:00,000 --> 100:00:01,000\nLate\n", [Cue(360_000_000, 360_001_000, "Late")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n1984\n", [Cue(1000, 2000, "1984")]),
        (  # every line end doubled
            "0\n\n00:00:01,000 --> 00:00:02,000\n\nOne\n\n\n\n1\n\n00:00:03,000 --> 00:00:04,000\n\nTwo\n\n",
            [Cue(1000, 2000, "One"), Cue(3000, 4000, "Two")],
        ),
        (  # a blank above times that have no number
            "1\n00:00:01,000 --> 00:00:02,000\n1984\n\n00:00:03,000 --> 00:00:04,000\nTwo\n",
            [Cue(1000, 2000, "1984"), Cue(3000, 4000, "Two")],
        ),
    ],
)
def test_cues(text: str, cues: list[Cue]) -> None:
    assert parse(text.encode()) == cues


@pytest.mark.parametrize("text", [BOTH, "WEBVTT\n\n" + BOTH.replace(",", ".")], ids=["subrip", "webvtt"])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\r\r\n", "\r\r\r\n"])
def test_line_ends(text: str, end: str) -> None:
    assert parse(text.replace("\n", end).encode()) == [Cue(1000, 2000, "One\nline"), Cue(3000, 4000, "Two")]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("a\nb", r"a\Nb"),
        ("<i>a</i> <b>b</b> <u>c</u>", r"{\i1}a{\i0} {\b1}b{\b0} {\u1}c{\u0}"),
        ('<font color="#FF0000">red</font>', r"{\1c&H0000FF&}red{\1c&HFFFFFF&}"),
        (
            '<font color="#FFFF00">a<font color="#0F0F0F">b</font></font>',
            r"{\1c&H00FFFF&}a{\1c&H0F0F0F&}b{\1c&H00FFFF&}{\1c&HFFFFFF&}",
        ),
        ("<s>a</s> <script>", r"{\s1}a{\s0} <script>"),
        (r"{\b1}", "\\{\\\u2060b1\\}"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("C:\\new", "C:\\\u2060new"),
        ("{\\an8\\p1}", "\\{\\\u2060an8\\\u2060p1\\}"),
    ],
)
def test_known_marks_are_kept_and_all_else_is_words(words: str, text: str) -> None:
    assert ass.to_ass(words) == text


def test_what_a_style_has_stays_when_a_mark_ends() -> None:
    style = styles.Style(bold=True, italic=True)
    assert ass.to_ass("<b>a</b><i>b</i><u>c</u>", style) == r"{\b1}a{\b1}{\i1}b{\i1}{\u1}c{\u0}"


def test_a_line_of_the_script_cannot_be_forged() -> None:
    forged = "x\r\nDialogue: 0,0:00:00.00,9:00:00.00,Default,,0,0,0,,forged"
    made = ass.write_script([ass.PlacedCue(Cue(0, 1000, forged))], 320, 180)
    assert sum(line.startswith("Dialogue:") for line in made.splitlines()) == 1


VTT = """WEBVTT - a title

NOTE a comment
of two lines

STYLE
::cue { color: red }

intro
00:01.000 --> 00:00:02.500 align:left line:0
<v Fred>One &amp; <c.yellow>two</c> <i.x>three</i>

00:03.000 --> 00:05.000
He<00:03.500>llo <00:04.000><c>you</c>
&lt;i&gt;
"""


def test_webvtt_keeps_marks_colors_places_and_times_of_words() -> None:
    one, two = parse(VTT.encode())
    assert (one.start_ms, one.end_ms) == (1000, 2500)
    assert one.text == 'One & <font color="#FFFF00">two</font> <i>three</i>'
    assert one.place == Place(row=2, column=0)
    assert (two.start_ms, two.end_ms, two.text) == (3000, 5000, "Hello you\n<\u2060i>")
    assert two.word_times == ((2, 3500), (6, 4000))
    assert ass.to_ass(two.text) == "Hello you\\N<\u2060i>"


def test_webvtt_without_captions() -> None:
    with pytest.raises(SubtitleError, match="no captions"):
        parse(b"WEBVTT\n\nNOTE nothing\n")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_mark(name: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nЯ 漢\n"
    assert parse(text.encode(name)) == [Cue(1000, 2000, "Я 漢")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("ação é".encode() + b"\xc3", "ação é\ufffd"),  # cut in the middle of a letter
        ("日本語".encode()[:-1] + "が".encode(), "日本\ufffdが"),
        ("ação é".encode("cp1252"), "ação é"),
        ("“ação” – Ã©".encode("cp1252"), "“ação” – Ã©"),
        ("don’t".encode("cp1252"), "don’t"),
    ],
)
def test_a_bad_byte_spoils_but_its_letter(data: bytes, text: str) -> None:
    assert parse(b"1\n00:00:01,000 --> 00:00:02,000\n" + data) == [Cue(1000, 2000, text)]


def test_accents_are_composed() -> None:
    assert parse("1\n00:00:01,000 --> 00:00:02,000\ncafe\u0301\n".encode()) == [Cue(1000, 2000, "café")]


SCRIPT = """[Script Info]
ScriptType: v4.00+
PlayResX: 640
PlayResY: 360

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Nowhere,40,&H0000FF00,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,0,8,10,10,10,1

[Fonts]
fontname: evil.ttf
!!!!

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,not shown
Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{\\fnOther\\b1}Hi {\\i1}漢
Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9
"""


def test_a_script_is_kept_without_what_is_packed_into_it() -> None:
    script = read(SCRIPT.encode())
    assert isinstance(script, Script)
    assert script.captions() == ["Hi 漢", ""]
    assert set(script.families()) == {"Nowhere", "Other"}
    written = script.translate({ord("漢"): None})
    assert "{\\fnOther\\b1}Hi {\\i1}\n" in written
    assert "&H0000FF00" in written
    assert "evil" not in written
    assert "{\\i1}!\n" in script.translate({ord("漢"): "!"}, str)
    assert "{\\i1}漢?\n" in script.translate({}, lambda text: f"{text}?")


@pytest.mark.parametrize(
    "text",
    [
        "[Script Info]\nPlayResX: x\n",
        "[Events]\nFormat: Start, Text\nDialogue: 0:00:00.00\n",
        "[Events]\nDialogue: 1,2\n",
        "[V4+ Styles]\nStyle\n[Events]\nDialogue\n",
    ],
)
def test_a_script_without_captions_is_refused(text: str) -> None:
    with pytest.raises(SubtitleError):
        read(text.encode())


@pytest.mark.parametrize("letter", ["\ue000", "\U0001fae8", "\U0001fae9"])
def test_letters_that_are_private_or_newer_than_python_are_text(letter: str) -> None:
    (cue,) = parse(f"1\n00:00:00,000 --> 00:00:02,000\n{letter}\n".encode())
    assert cue.text == letter
