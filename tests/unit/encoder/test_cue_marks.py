"""Marks in subtitles: obeyed where players obey them, hidden else; what only looks like one is text."""

import pytest

from encoder.captions import ass, styles
from encoder.captions.formats import Cue, Place, Subtitles, colors, read

SRT = "1\n00:00:00,000 --> 00:00:02,000\n"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\n"


def read_subtitles(text: str) -> Subtitles:
    found = read(text.encode())
    assert isinstance(found, Subtitles)
    return found


def only_cue(text: str) -> Cue:
    (cue,) = read_subtitles(text).cues
    return cue


@pytest.mark.parametrize("head", [SRT, VTT], ids=["srt", "vtt"])
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (r"{\i1}a{\i0} b", "<i>a</i> b"),
        (r"{\b1\i1}a{\r}b", "<b><i>a</b></i>b"),
        (r"{\b700}a{\b0}{\b400}b", "<b>a</b>b"),
        (r"{\c&H00FFFF&}a{\c}b", '<font color="#FFFF00">a</font>b'),
        (r"{\1c&HFF0000&}a{\c&HFF&}b", '<font color="#0000FF">a</font><font color="#FF0000">b'),
        (r"{\fad(200,200)}{\blur3\fs20}a{\fnArial}b{\rOther}c{\k20}d", "abcd"),
        (r"{\t(0,500,\fscx120)}a{\\i1}b", "a<i>b"),
        (r"{\p1}m 0 0 l 9 9{\p0}a", "a"),
        (r"a\Nb\nc\hd", "a\nb\nc\xa0d"),
        (r"C:\new\Notes", r"C:\new\Notes"),
        ("a<br>b<br/>c<BR />d", "a\nb\nc\nd"),
        ("<em>a</em> <STRONG>b</STRONG> <strike>c</strike> <i >d</i >", "<i>a</i> <b>b</b> <s>c</s> <i>d</i>"),
        ("<v Roger>a</v> <v.loud Mary B>b</v> <lang en>c</lang>", "a b c"),
        (
            "<c.yellow.bg_blue>a</c> <c.colorE5E5E5>b</c> <c>c</c>",
            '<font color="#FFFF00">a</font> <font color="#E5E5E5">b</font> c',
        ),
        (
            '<span style="color: #0f0; font-style: italic">a</span> <p>b</p> <a href="x">c</a>',
            '<font color="#00FF00"><i>a</i></font> b c',
        ),
        ("<ruby>漢<rt>かん</rt>字<rp>(</rp><rt>じ</rt><rp>)</rp></ruby>", "漢(かん)字(じ)"),
        (
            "<font color=yellow>a</font><FONT COLOR='Red'>b</FONT>",
            '<font color="#FFFF00">a</font><font color="#FF0000">b</font>',
        ),
        ("<font>a</font> </b> <i/>b", "a  b"),
        ("{y:i}a", "<i>a"),
        ("{Y:b,u}{s:12}a", "<b><u>a"),
        ("{c:$0000ff}a", '<font color="#FF0000">a'),
        (
            "Tom &amp; J&eacute; &#39;s &quot;x&quot; &lt;3 it&apos;s a&nbsp;b&#x2019;",
            "Tom & Jé 's \"x\" <3 it's a\xa0b’",
        ),
        ("&amp;amp; &amp;#39; &amp;quot;x&lrm;", "& ' \"x\u200e"),
        ("&lt;i&gt;a&lt;/i&gt;", "<\u2060i>a<\u2060/i>"),
        ("AT&T ?a=1&lt=2 &nosuch; &;", "AT&T ?a=1&lt=2 &nosuch; &;"),
        ("a < b > c <3 <- -> 3 < 5 > 2", "a < b > c <3 <- -> 3 < 5 > 2"),
        (
            "{hello} {\\} <laughs> <script> <user@host> <b and c> {a:b}",
            "{hello} {\\} <laughs> <script> <user@host> <\u2060b and c> {a:b}",
        ),
    ],
)
def test_marks(head: str, words: str, text: str) -> None:
    words = words.replace("{\\}", "{\\ }") if head == VTT else words
    assert only_cue(head + words).text.replace("{\\ }", "{\\}") == text


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (r"{\an8}a", Place(2, 1)),
        (r"{\an5}{\an8}a", Place(1, 1)),
        (r"{\a6}a", Place(2, 1)),
        (r"{\a10}a", Place(1, 1)),
        (r"{\a4}a", Place()),
        (r"{\pos(192,72)}a", Place(0, 1, point=(0.5, 0.25))),
        (r"{\an7\pos(96.0, 288)}a", Place(2, 0, point=(0.25, 1.0))),
        (r"{\move(96,144,300,200)}a", Place(0, 1, point=(0.25, 0.5))),
        (r"{\pos(-900,900)}a", Place(0, 1, point=(0.0, 1.0))),
        (r"{\pos(x,y)}a", Place()),
    ],
)
def test_places_by_commands(words: str, place: Place) -> None:
    assert only_cue(SRT + words) == Cue(0, 2000, "a", place=place)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ("", Place()),
        ("align:center", Place()),
        ("align:start position:0%", Place(column=0)),
        ("position:20% align:left size:50%", Place(column=0, left=0.2, right=0.3)),
        ("position:80%,line-right align:center size:50%", Place(column=1, left=0.3, right=0.2)),
        ("position:30% size:100%", Place(column=1, right=0.4)),
        ("size:50%", Place(left=0.25, right=0.25)),
        ("line:10%", Place(2, vertical=0.1)),
        ("line:50%", Place(1)),
        ("line:90%,end align:right", Place(0, 2, vertical=0.1)),
        ("line:0", Place(2)),
        ("line:3", Place(2, vertical=0.2)),
        ("line:-1", Place(0)),
        ("line:-4", Place(0, vertical=0.2)),
        ("line:14", Place(0)),
        ("line:x% position:y size:z%", Place(column=1)),
        ("region:fred align:left", Place(0, 0, left=0.1, right=0.5, vertical=0.25)),
        ("region:nobody", Place()),
    ],
)
def test_settings_of_webvtt(settings: str, place: Place) -> None:
    region = "REGION\nid:fred\nwidth:40%\nlines:3\nregionanchor:0%,100%\nviewportanchor:10%,75%\n\n"
    text = f"WEBVTT\n\n{region}00:00.000 --> 00:01.000 {settings}\na\n"
    assert only_cue(text).place == place


def test_styles_of_webvtt() -> None:
    styles = (
        "STYLE\n::cue { color: red }\n/* ::cue(.no) { color: red } */\n::cue(.loud), ::cue(c.warm) {\n"
        "  color: rgb(255, 128, 0);\n  font-weight: bold;\n}\n\n"
        'STYLE\n::cue(i) { color: lime }\n::cue(v[voice="Roger"]) { text-decoration: underline }\n\n'
    )
    text = VTT.replace("\n\n", f"\n\n{styles}", 1)
    words = "<c.loud>a</c> <c.warm>b</c> <v.warm X>c</v> <i>d</i> <v Roger>e</v> <c.no>f</c>"
    orange, lime = '<font color="#FF8000"><b>', '<i><font color="#00FF00">'
    shown = f"{orange}a</b></font> {orange}b</b></font> c {lime}d</font></i> <u>e</u> f"
    assert only_cue(text + words).text == shown


def test_a_line_of_blanks_does_not_end_a_cue() -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\n \nhi<00:00.400><c> all</c>\n \n(end)\n\n00:01.000 --> 00:02.000\nb\n \n"
    first, second = read_subtitles(text).cues
    assert (first.text, first.word_times) == ("hi all\n \n(end)", ((2, 400),))
    assert second.text == "b"


def test_cues_of_webvtt_need_no_empty_line_between() -> None:
    first = "WEBVTT\n00:00.000 --> 00:01.000\na\n2\n00:01.000 --> 00:02.000\nb\nNOTE c\n\nNOTE\n\n"
    text = f"{first}x\n00:02.000 --> 00:03.000\nd"
    assert [cue.text for cue in read_subtitles(text).cues] == ["a", "b\nNOTE c", "d"]


def test_marks_that_are_not_obeyed_are_known() -> None:
    words = r'{\blur3\fad(1,2)}<font face="Arial" size=20>a</font><i>b</i>{\an8}'
    assert read_subtitles(SRT + words).ignored == {r"\blur", r"\fad", "<font face>", "<font size>"}
    assert read_subtitles(VTT.replace("2.000", "2.000 vertical:rl") + "a").ignored == {"vertical"}
    assert read_subtitles(SRT.replace("2,000", "2,000 X1:1 X2:2 Y1:3 Y2:4") + "a").ignored == {"X1:… Y1:…"}


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("red", "#FF0000"),
        ("RebeccaPurple", "#663399"),
        ("#0f0", "#00FF00"),
        ("#12ab34", "#12AB34"),
        ("12ab34", "#12AB34"),
        ("#12ab3480", "#12AB34"),
        ("rgb(0,255,0)", "#00FF00"),
        ("rgba(0 100% 50% / 40%)", "#00FF80"),
        ("rgb(999,0,0)", "#FF0000"),
        ("&H00FF80&", "#80FF00"),
        ("&H8000FF80", "#80FF00"),
        ("&HFF&", "#FF0000"),
        ("nothing", ""),
        ("", ""),
        ("#12", ""),
    ],
)
def test_colors(text: str, color: str) -> None:
    assert colors.parse_color(text) == color


def test_places_are_drawn_in_shares_of_the_picture() -> None:
    cues = [
        Cue(0, 1000, "a", place=Place(0, 1, point=(0.5, 0.25))),
        Cue(0, 1000, "b", place=Place(2, None, left=0.5, right=0.01, vertical=0.1)),
        Cue(0, 1000, "c"),
    ]
    events = [
        line
        for line in ass.write_script(map(ass.PlacedCue, cues), 640, 360).splitlines()
        if line.startswith("Dialogue:")
    ]
    assert [event.split("Default,,")[1] for event in events] == [
        r"3,3,0,,{\an2\pos(320.0,90.0)}a",
        r"320,0,36,,{\an8}b",
        "0,0,0,,c",
    ]


def test_a_point_of_the_style_goes_before_places_of_the_file() -> None:
    style = styles.complete_style(styles.Style(x=0.5, y=0.5))
    script = ass.write_script([ass.PlacedCue(Cue(0, 1000, "a", place=Place(2, 0)))], 640, 360, style)
    assert r",0,0,0,,{\an5\pos(320.0,180.0)}a" in script
