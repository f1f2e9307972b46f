"""Subtitles of any form: cues, or an error that says what is wrong, in bounded time."""

import contextlib

from hypothesis import strategies as st

from encoder.captions import ass
from encoder.captions.formats import Script, SubtitleError, read
from tests.support.fuzz import bounded, fuzz, joined

PARTS = st.sampled_from(
    [
        *("1\n", "2\r\n", "\n\n", "\r", " ", "\t", "\0", "999999999999", "-1", "\ufeff", "\u2028"),
        *(
            "00:00:01,000 --> 00:00:02,000\n",
            "00:00:01.000 --> 00:00:02.000\n",
            "0:0:1 --> 0:0:1\n",
            "-->",
            "0:00:01.00",
        ),
        *("99:99:99,999 --> 00:00:00,000\n", "01:00 --> 02:00 align:start position:10%\n", "00:00:01,000-->"),
        *(
            "WEBVTT\n\n",
            "WEBVTT - x\nSTYLE\n::cue{}\n\n",
            "NOTE x\n\n",
            "REGION\nid:a\n\n",
            "<00:00:01.500>",
            "<c.red>",
        ),
        *("<i>", "</i>", "<font color=", '"#ff0000">', "</font>", "<b", ">", "{\\an8}", "{\\", "}", "&amp;", "&#x41;"),
        *("[Script Info]\n", "ScriptType: v4.00+\n", "[V4+ Styles]\n", "[Events]\n", "PlayResX: 1\n"),
        *("Format: Layer, Start, End, Style, Text\n", "Format: Name, Fontname, Fontsize\n", "Style: A,B,C\n"),
        *("Dialogue: 0,0:00:01.00,0:00:02.00,A,hi\n", "Dialogue: ,,,,\n", "Comment: ", "{\\k10}", "\\N", ",", ":"),
        *(
            "{\\pos(1,2)}",
            "{\\i1\\c&HFF&",
            "{y:i}",
            "<br>",
            "<v X>",
            "<rt>",
            "&amp;amp;",
            "```",
            "```srt\n",
            "::cue(.a){",
            "\\N",
        ),
        *(
            "id:a width:40%\n",
            "region:a",
            "line:10%",
            "-00:00:01,000 --> 0:0:3\n",
            "٠٠:٠٠:٠١،٠٠٠",
            " → ",
            "\u200e",
            "[",
            "--&gt;",
        ),
        *("<tt>", "<body>", "<p begin='1s' end='2s'>", "<span tts:color='red'>", "</p>", "</tt>", "<!DOCTYPE tt []>"),
        *(
            "<SAMI>",
            "<SYNC Start=1000>",
            "<P Class=A>",
            "[00:01.00]",
            "[ar:x]\n",
            "<00:01.00>",
            "0:00:01.000,0:00:02.000\n",
        ),
        *(
            "{1}{1}25\n",
            "{25}{50}",
            "[10][20]",
            "|",
            "/",
            '[{"start":1,',
            '"end":2,"text":"x"}]',
            '{"segments":',
            "Scenarist_SCC",
        ),
        *("a", "é", "e\u0301", "\u0301\u0323", "漢字", "سلام", "😀", "\u202e", "\ufffd"),
    ]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])


def check(data):
    with bounded(len(data)), contextlib.suppress(SubtitleError):
        found = read(data)
        if not isinstance(found, Script):
            assert found.cues
            assert all(0 <= cue.start_ms < cue.end_ms for cue in found.cues)
            assert ass.write_script(map(ass.PlacedCue, found.cues), 64, 36).count("\nDialogue: ") <= 2 * len(found.cues)


@fuzz(examples=60, text=joined(PARTS | st.text(max_size=5)), encoding=ENCODINGS)
def test_text_in_any_order(text, encoding):
    check(text.encode(encoding, errors="ignore"))


@fuzz(data=st.binary(max_size=4096))
def test_what_is_no_text(data):
    check(data)


@fuzz(text=joined(PARTS), cut=st.integers(0, 500), junk=st.binary(max_size=20))
def test_damaged_files(text, cut, junk):
    data = text.encode(errors="ignore")
    check(data[:cut] + junk + data[cut:])
