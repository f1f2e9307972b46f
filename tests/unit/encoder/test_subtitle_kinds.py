"""Kinds of subtitles beside SubRip and WebVTT, and what tools leave about them."""

import json
from collections.abc import Callable

import pytest

from encoder.captions.formats import Cue, Place, Script, SubtitleError, Subtitles, read

SRT = "1\n00:00:01,000 --> 00:00:04,000\nOne\n"
ONE = [(1000, 4000, "One")]


def read_subtitles(data: str | bytes) -> Subtitles:
    found = read(data if isinstance(data, bytes) else data.encode())
    assert isinstance(found, Subtitles)
    return found


def times(data: str | bytes) -> list[tuple[int, int, str]]:
    return [(cue.start_ms, cue.end_ms, cue.text) for cue in read_subtitles(data).cues]


@pytest.mark.parametrize(
    "line",
    [
        "00:00:01.000 --> 00:00:04.000",
        "0:0:1,0 --> 0:0:4",
        "00:01,000 --> 00:04,000",
        "00:01 --> 00:04",
        "1.0 --> 4.0",
        "00:00:01,000-->00:00:04,000",
        "00:00:01,000 -> 00:00:04,000",
        "00:00:01,000 -- > 00:00:04,000",
        "00:00:01,000 –> 00:00:04,000",
        "00:00:01,000 → 00:00:04,000",
        "00: 00: 01, 000 --> 00: 00: 04, 000",
        "00:00:01:000 --> 00:00:04:000",
        "00.00.01,000 --> 00.00.04,000",
        "00:00:01.000999 --> 00:00:04.000",
        "00:00:01,000 --> 00:00:04,000 X1:40 X2:600 Y1:20 Y2:50",
        "00:00:01.000 --> 00:00:04.000 align:start position:0%",
        "\u200e00:00:01,000 --> 00:00:04,000\u200f",
        "\u202b٠٠:٠٠:٠١،٠٠٠ --> ٠٠:٠٠:٠٤،٠٠٠\u202c",
        "００：００：０１，０００ －－＞ ００：００：０４，０００",
        "  00:00:01,000 --> 00:00:04,000\t",
        "00:00:01,000,00:00:04,000",
        "00:00:01,000 - 00:00:04,000",
        "1 00:00:01,000 --> 00:00:04,000",
    ],
)
def test_times_of_subrip(line: str) -> None:
    assert times(f"1\n{line}\nOne\n") == ONE


@pytest.mark.parametrize("line", ["-00:00:01,000 --> 00:00:04,000", "00:00:-1,000 --> 00:00:04,000"])
def test_times_below_zero_are_zero(line: str) -> None:
    assert times(f"1\n{line}\nOne\n") == [(0, 4000, "One")]


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff\ufeff" + SRT,
        SRT.replace("00:00:01", "\ufeff00:00:01").replace("One", "\ufeffOne\ufeff"),
        SRT + "```\n",
        f"```srt\n{SRT}```\n",
        f"Sure! Here is the translation:\n\n```srt\n{SRT}```\n\nLet me know if you need more.\n",
        f"~~~\n{SRT}\n~~~",
        f"```\n{SRT}",
        SRT.replace(">", "&gt;"),
        SRT.replace("\n", "\\n"),
        json.dumps(SRT.replace("\n", "\r\n")),
        SRT.replace("\n", "\r"),
        SRT.replace("\n", "\n\n"),
        "\n" + SRT.replace("\n", "\n \n"),
        SRT.encode() + b"\0" * 2,
        SRT.encode() + b"\x1a",
        SRT.split("\n", 1)[1],
        "\u200e1\u200e" + SRT[1:],
    ],
)
def test_what_tools_leave_about_subtitles(data: str | bytes) -> None:
    found = read_subtitles(data)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in found.cues] == ONE
    assert not found.left_out


def test_fences_in_two_parts() -> None:
    second = SRT.replace("1\n", "2\n", 1).replace("01,", "05,").replace("04,", "06,").replace("One", "Two")
    assert times(f"Part 1:\n```\n{SRT}```\nPart 2:\n```\n{second}```\n") == [*ONE, (5000, 6000, "Two")]


def test_text_beside_the_times_is_kept() -> None:
    assert times("[00:01.000 --> 00:04.000]  One\n[00:04.000 --> 00:05.000]  Two\n") == [*ONE, (4000, 5000, "Two")]
    assert times("00:00:01,000 --> 00:00:04,000 One\n00:00:04,000 --> 00:00:05,000 Two\nlines\n") == [
        *ONE,
        (4000, 5000, "Two\nlines"),
    ]


def test_sbv_and_subviewer() -> None:
    assert times("0:00:01.000,0:00:04.000\nOne\n\n0:00:05.000,0:00:06.500\nTwo\nlines\n") == [
        *ONE,
        (5000, 6500, "Two\nlines"),
    ]
    head = "[INFORMATION]\n[TITLE]x\n[END INFORMATION]\n[SUBTITLE]\n[COLF]&HFFFFFF\n"
    assert times(f"{head}00:00:01.00,00:00:04.00\nOne[br]line\n") == [(1000, 4000, "One\nline")]


def test_lrc() -> None:
    text = "[ar:Somebody]\n[00:01.00]One\n[00:04.00]Two <00:04.50>words\n[00:06.0]\n[00:08.00][00:09:50]Again\n"
    found = read_subtitles(text)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in found.cues] == [
        *ONE,
        (4000, 6000, "Two words"),
        (8000, 9500, "Again"),
        (9500, 14_500, "Again"),
    ]
    assert found.cues[1].word_times == ((4, 4500),)
    assert times("[offset:+500]\n[00:01.50]One\n[00:04.50]\n") == ONE


TTML = """<?xml version="1.0" encoding="UTF-16"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling" xml:lang="tr"
    xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25" ttp:tickRate="10000000">
  <head><styling>
    <style xml:id="y" tts:color="yellow"/><style xml:id="yi" style="y" tts:fontStyle="italic"/>
  </styling><layout>
    <region xml:id="top" tts:origin="10% 20%" tts:extent="80% 20%" tts:displayAlign="before">
      <style tts:textAlign="left"/>
    </region>
    <region xml:id="low" tts:origin="0% 70%" tts:extent="100% 20%" tts:displayAlign="after"/>
  </layout></head>
  <body tts:color="white"><div begin="10s">
    <p begin="00:00:01:05" end="00:00:04.000" region="top">A <span style="yi">yellow</span><br/>
       one &amp;amp; <span tts:fontWeight="bold" tts:textDecoration="underline">two</span></p>
    <p begin="50000000t" dur="2s" tts:color="#FFFFFF" region="low">ticks <span begin="0.5s">later</span></p>
  </div><div>
    <p><span begin="20s" end="21s">x</span> <span begin="21s" end="22s">y</span></p>
    <p begin="30s">no end</p>
    <p begin="31s" end="32s"><metadata/></p>
    <p>no times</p>
  </div></body>
</tt>"""


def test_ttml() -> None:
    found = read_subtitles(TTML)
    yellow = '<font color="#FFFF00"><i>yellow</i></font>'
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in found.cues] == [
        (11_200, 14_000, f"A {yellow}\none & <b><u>two</u></b>"),
        (15_000, 17_000, "ticks later"),
        (20_000, 21_000, "x"),
        (21_000, 22_000, "y"),
        (30_000, 31_000, "no end"),
    ]
    assert found.cues[0].place == Place(2, 0, left=0.1, right=0.1, vertical=0.2)
    assert found.cues[1].place == Place(0, None, vertical=0.1)
    assert found.cues[1].word_times == ((6, 15_500),)
    assert found.language == "tr"
    assert [one.why for one in found.left_out] == ["has no text", "has no begin and end"]
    assert found.left_out[0].name == 'caption 6, line 19 (begin="31s" end="32s")'


def test_xml_of_youtube() -> None:
    text = '<transcript><text start="1" dur="3">One &amp;amp; &amp;#39;two</text></transcript>'
    assert times(text) == [(1000, 4000, "One & 'two")]
    found = read_subtitles(
        '<timedtext format="3"><body><p t="1000" d="3000">One<s t="500"> two</s></p></body></timedtext>'
    )
    assert found.cues == (Cue(1000, 4000, "One two", ((3, 1500),)),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<!DOCTYPE tt [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><tt>&b;</tt>', "document type"),
        ('<?xml version="1.0"?><tt><body>' + "<p>" * 200, "nested too deep"),
        ("<tt><body><p begin='1s'>x", "line 1"),
        ("<tt><body><p>x</p></body></tt>", "has no begin and end"),
        ("<tt></tt>", "no captions"),
    ],
)
def test_ttml_that_cannot_be_read(text: str, told: str) -> None:
    with pytest.raises(SubtitleError, match=told):
        read(text.encode())


def test_sami() -> None:
    text = (
        "<SAMI><HEAD><STYLE><!-- P { } --></STYLE></HEAD><BODY>\n"
        "<SYNC Start=1000><P Class=KRCC>하나<br>둘\n<P Class=ENCC>One\n"
        '<sync start="3000"><P Class=KRCC>&nbsp;\n'
        "<SYNC Start=4000><P Class=KRCC><font color=red>셋</font>\n</BODY></SAMI>"
    )
    assert times(text) == [(1000, 3000, "하나\n둘"), (4000, 9000, '<font color="#FF0000">셋</font>')]


def test_microdvd_and_mpl2() -> None:
    assert times("{1}{1}25.000\n{25}{100}One\n{125}{}{y:i}Two|lines\n{150}{175}x") == [
        *ONE,
        (5000, 6000, "<i>Two\nlines"),
        (6000, 7000, "x"),
    ]
    assert times("[10][40]One\n[50][60]/Two|/lines\n") == [*ONE, (5000, 6000, "<i>Two</i>\n<i>lines</i>")]
    with pytest.raises(SubtitleError, match="counts frames"):
        read(b"{25}{100}One\n")


WORDS = [{"word": " One", "start": 1.0, "end": 2.0}, {"word": " two", "start": 2.5, "end": 4.0, "probability": 0.5}]


@pytest.mark.parametrize(
    "value",
    [
        {"text": "One", "segments": [{"id": 0, "start": 1.0, "end": 4.0, "text": " One"}], "language": "en"},
        [{"start": 1, "end": 4, "text": "One"}],
        [{"start": "00:00:01,000", "end": "00:00:04,000", "text": "One"}],
        {"chunks": [{"timestamp": [1.0, 4.0], "text": " One"}]},
        {"transcription": [{"timestamps": {"from": "00:00:01,000", "to": "00:00:04,000"}, "text": " One"}]},
        {"transcription": [{"offsets": {"from": 1000, "to": 4000}, "text": " One"}]},
        {"output": {"segments": [{"start": "1.0", "end": "4.0", "text": "One"}]}},
        {"events": [{"tStartMs": 1000, "dDurationMs": 3000, "segs": [{"utf8": "O"}, {"utf8": "ne"}]}]},
        [{"start": 1, "dur": 3, "text": "One"}],
    ],
)
def test_json_of_transcripts(value: object) -> None:
    assert times(json.dumps(value)) == ONE


def test_json_with_the_times_of_words() -> None:
    segment = {"start": 1.0, "end": 4.0, "text": " One, two", "words": WORDS}
    (cue,) = read_subtitles(json.dumps({"segments": [segment]})).cues
    assert (cue.text, cue.word_times) == ("One, two", ((0, 1000), (5, 2500)))
    words = [{"text": each["word"], "start": each["start"], "end": each["end"]} for each in WORDS]
    (other,) = read_subtitles(json.dumps({"segments": [{**segment, "words": words}]})).cues
    assert other == cue


@pytest.mark.parametrize("wrap", [lambda words: {"words": words}, lambda words: {"result": {"words": words}}, list])
def test_json_of_words_alone_becomes_captions_of_a_few(wrap: Callable[[list[object]], object]) -> None:
    text = "It was a dark and stormy night, when"
    words = [{"word": f" {word}", "start": at, "end": at + 0.5} for at, word in enumerate([*text.split(), "rain"])]
    after = [{"word": word, "start": 20 + at, "end": 21 + at} for at, word in enumerate(["\u96e8", "\u304c", "fell"])]
    cues = read_subtitles(json.dumps(wrap([*words, 5, {"word": "untimed"}, *after]))).cues
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cues] == [
        (0, 7500, "It was a dark\nand stormy night, when"),
        (8000, 8500, "rain"),
        (20000, 23000, "\u96e8\u304c fell"),
    ]
    assert [time for _, time in cues[0].word_times] == list(range(0, 8000, 1000))


def test_json_of_words_that_stand_deeper_becomes_captions_of_a_few() -> None:
    spoken = [
        {"word": "one", "punctuated_word": "One", "start": 0.0, "end": 0.5},
        {"word": "two", "start": 0.6, "end": 1},
    ]
    deepgram = {"results": {"channels": [{"alternatives": [{"transcript": "One two", "words": spoken}]}]}}
    items = [
        {"start_time": "0.0", "end_time": "0.5", "alternatives": [{"content": "One"}], "type": "pronunciation"},
        {"start_time": "0.6", "end_time": "1", "alternatives": [{"content": "two"}], "type": "pronunciation"},
    ]
    amazon = {"results": {"transcripts": [{"transcript": "One two"}], "items": items}}
    for value in (deepgram, amazon):
        assert times(json.dumps(value)) == [(0, 1000, "One two")]


def test_json_of_words_in_milliseconds_becomes_captions_of_a_few() -> None:
    words = [{"text": text, "start": at, "end": at + 400} for text, at in (("One", 0), ("two", 1000), ("three", 9000))]
    assert times(json.dumps({"words": words})) == [(0, 1400, "One two"), (9000, 9400, "three")]


def test_json_in_milliseconds() -> None:
    value = {
        "utterances": [{"start": 1000, "end": 4000, "text": "One"}, {"start": 4000, "end": 300_000, "text": "Two"}]
    }
    assert times(json.dumps(value)) == [*ONE, (4000, 300_000, "Two")]


def test_segments_without_times_are_left_out() -> None:
    found = read_subtitles(json.dumps([{"start": 1, "end": 4, "text": "One"}, {"text": "Two"}]))
    assert list(map(str, found.left_out)) == ["segment 2 has no start and end in seconds"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"error": "not found"}', "JSON without segments"),
        (b'{"segments": [', "looks like JSON, and cannot be read at line 1"),
        (b'[{"a":' * 10_000, "nested too deep"),
        (b'[{"start": 1' + b"0" * 5000 + b"}]", "JSON"),
        (b'[{"start": NaN, "end": Infinity, "text": "x"}]', "JSON without segments"),
        (b"Scenarist_SCC V1.0\n\n00:00:00:00\t9420 9420", "SCC"),
        (b"# VobSub index file, v7\n", "VobSub"),
        (b"\0\0\1\xba\x44", "VobSub"),
        (b"PG" + b"\0\1\2\3\4\5\6\7\x16\0", "PGS"),
        (b"850STL25.01", "EBU STL"),
        (b"$FontName = Arial\n00:00:01:00 , 00:00:02:00 , One\n", "Spruce STL"),
        (b"00:00:01:One\n00:00:02:Two\n", "TMPlayer"),
        (b"start\tend\ttext\n0\t4000\tOne\n", "TSV"),
        (b"{\\rtf1\\ansi 1\\par 00:00:01,000 --> 00:00:04,000}", "rich text"),
        (b"PK\3\4", "ZIP"),
        (b"%PDF-1.4", "PDF"),
        (b"\0\0\0\x20ftypisom", "a video"),
        (b"\x89PNG\r\n", "a picture"),
        (b"#EXTM3U\n", "HLS"),
        (b"<?xml version='1.0'?><feed/>", "XML"),
    ],
)
def test_other_files_are_told_by_name(data: bytes, told: str) -> None:
    with pytest.raises(SubtitleError, match=told):
        read(data)


def test_scripts_say_which_captions_are_never_shown() -> None:
    head = "[Events]\nFormat: Layer, Start, End, Style, Text\n"
    found = read(f"{head}Dialogue: 0,0:00:01.00,0:00:02.00,A,x\nDialogue: 0,0:00:03.00,0:00:02.00,A,y\n".encode())
    assert isinstance(found, Script)
    assert [(event.start_ms, event.end_ms) for event in found.events] == [(1000, 2000)]
    assert list(map(str, found.left_out)) == ["caption 2, line 4 (0:00:03.00,0:00:02.00) ends before it starts"]
    with pytest.raises(SubtitleError, match="lasts no time"):
        read(f"{head}Dialogue: 0,0:00:01.00,0:00:01.00,A,x\n".encode())
