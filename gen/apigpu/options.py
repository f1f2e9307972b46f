"""Options of the operations, for the Python client and the command line.

Generated from protos/ by `make gen`; do not edit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

Source = str | Path
"""An input of an operation: a local file, an http(s) URL that the gateway can reach, or the name of an asset."""


@dataclass(frozen=True)
class Option:
    """Describe an option: what it is, its flag, its range, what holds when it is not given ("": nothing to tell)."""

    help: str
    flag: str
    minimum: float | None = None
    maximum: float | None = None
    default: str = ""
    metavar: str | None = None


@dataclass(frozen=True)
class Input:
    """Describe an input: a source, or several (`is_many`). It is required, unless one of some options is given."""

    help: str
    is_many: bool = False
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """Describe an operation: what it does, its inputs by name, and the class of its options.

    `item` is the class of one of the inputs of an operation that makes a result of each.
    """

    help: str
    inputs: dict[str, Input]
    options: type[Any]
    item: type[Any] | None = None


Preset = Literal["classic", "bold", "box", "karaoke", "word", "pop", "underline", "rounded", "shadow"]
"""A look of captions."""
Position = Literal["bottom-left", "bottom", "bottom-right", "left", "center", "right", "top-left", "top", "top-right"]
"""Where captions stand. A place in the file ("{\\an8}") goes before it."""
Pan = Literal["left", "right", "up", "down", "up-left", "up-right", "down-left", "down-right"]
"""Where the window travels. While it travels, the room beside the window is left from one side to the other."""
Easing = Literal["linear", "in-out"]
"""How the movement spreads over time."""
TransitionKind = Literal["cut", "crossfade", "fade-black", "slide", "wipe"]
"""A kind of transition."""
Direction = Literal["left", "right", "up", "down"]
"""Where what moves goes."""
Fit = Literal["cover", "contain", "blur", "stretch"]
"""How a still of another shape than the clip is fitted in."""
Container = Literal["mp4", "fragmented-mp4"]
"""The kind of file to make."""
Readability = Literal["off", "standard", "children"]
"""Which captions are told as warnings: of more than two lines, or more than 42 letters in a line; that are shown for less than 5/6 of a second, or vanish for less than two frames; and those with too many letters a second."""
ImageFormat = Literal["jpeg", "png", "webp"]
"""The kind of image to make."""
Canvas = Literal["16:9", "9:16", "1:1", "4:5"]
"""The shape of a film, by name."""


@dataclass(frozen=True, kw_only=True)
class CaptionStyle:
    """The look of captions; ASS and SSA keep their own.

    What is not given follows from the preset. Sizes are percent of the smaller side of the picture as it is shown,
    so that a style looks alike on any shape. A color is "#RRGGBB" or "#RRGGBBAA" (AA is opacity).

    Attributes:
        preset: The look to begin with. Default: classic.
        font: Family name of a font that the encoder has, or of `font`. Letters that it lacks are taken from others.
        size: Height of a line of letters, percent of the smaller side; 6.25 in classic. From 1 to 40.
        color: Color of the letters.
        outline_color: Color of the outline.
        outline: Thickness of the outline, percent of the smaller side. From 0 to 5.
        box_color: Color of a box behind the lines; a preset without a box gets one by it.
        highlight_color: Color of a word while it is said (karaoke).
        bold: Heavy letters.
        italic: Slanted letters.
        capitals: Every letter a capital.
        position: Where captions stand. Default: bottom.
        x: Center of the captions across, 0 at the left to 1 at the right; goes with `y`, in place of `position`.
            From 0 to 1.
        y: Center of the captions down, 0 at the top to 1 at the bottom; goes with `x`. From 0 to 1.
        margin_x: Room kept free left and right, percent of the width. From 0 to 45. Default: 5.
        margin_y: Room kept free above and below, percent of the height. From 0 to 45. Default: 5.
        highlight_scale: Size of a word while it is said, percent of the others. From 100 to 200.
        highlight_underline: A line under a word while it is said.
        box_radius: Roundness of the corners of the box, percent of the smaller side; 0 is square. From 0 to 20.
        shadow: How far the shadow of the letters falls, percent of the smaller side; a box that is square has none.
            From 0 to 5.
        shadow_color: Color of the shadow.
    """

    preset: Annotated[Preset | None, Option("The look to begin with.", "preset", default="classic")] = None
    font: Annotated[str | None, Option("Family name of a font that the encoder has, or of `font`.", "font-family")] = (
        None
    )
    size: Annotated[
        float | None,
        Option(
            "Height of a line of letters, percent of the smaller side; 6.25 in classic.", "size", minimum=1, maximum=40
        ),
    ] = None
    color: Annotated[str | None, Option("Color of the letters.", "color", metavar="COLOR")] = None
    outline_color: Annotated[str | None, Option("Color of the outline.", "outline-color", metavar="COLOR")] = None
    outline: Annotated[
        float | None, Option("Thickness of the outline, percent of the smaller side.", "outline", minimum=0, maximum=5)
    ] = None
    box_color: Annotated[
        str | None,
        Option("Color of a box behind the lines; a preset without a box gets one by it.", "box-color", metavar="COLOR"),
    ] = None
    highlight_color: Annotated[
        str | None, Option("Color of a word while it is said (karaoke).", "highlight-color", metavar="COLOR")
    ] = None
    bold: Annotated[bool | None, Option("Heavy letters.", "bold")] = None
    italic: Annotated[bool | None, Option("Slanted letters.", "italic")] = None
    capitals: Annotated[bool | None, Option("Every letter a capital.", "capitals")] = None
    position: Annotated[Position | None, Option("Where captions stand.", "position", default="bottom")] = None
    x: Annotated[
        float | None,
        Option(
            "Center of the captions across, 0 at the left to 1 at the right; goes with `y`, in place of `position`.",
            "x",
            minimum=0,
            maximum=1,
        ),
    ] = None
    y: Annotated[
        float | None,
        Option(
            "Center of the captions down, 0 at the top to 1 at the bottom; goes with `x`.", "y", minimum=0, maximum=1
        ),
    ] = None
    margin_x: Annotated[
        float | None,
        Option("Room kept free left and right, percent of the width.", "margin-x", minimum=0, maximum=45, default="5"),
    ] = None
    margin_y: Annotated[
        float | None,
        Option(
            "Room kept free above and below, percent of the height.", "margin-y", minimum=0, maximum=45, default="5"
        ),
    ] = None
    highlight_scale: Annotated[
        float | None,
        Option("Size of a word while it is said, percent of the others.", "highlight-scale", minimum=100, maximum=200),
    ] = None
    highlight_underline: Annotated[
        bool | None, Option("A line under a word while it is said.", "highlight-underline")
    ] = None
    box_radius: Annotated[
        float | None,
        Option(
            "Roundness of the corners of the box, percent of the smaller side; 0 is square.",
            "box-radius",
            minimum=0,
            maximum=20,
        ),
    ] = None
    shadow: Annotated[
        float | None,
        Option(
            "How far the shadow of the letters falls, percent of the smaller side; a box that is square has none.",
            "shadow",
            minimum=0,
            maximum=5,
        ),
    ] = None
    shadow_color: Annotated[str | None, Option("Color of the shadow.", "shadow-color", metavar="COLOR")] = None


@dataclass(frozen=True)
class Word:
    """When one word of the captions is said.

    Attributes:
        text: The word, or a part of it, as it stands in the subtitles; letters alone count, across blanks.
        start: Seconds from the start of the video. From 0 to 1000000.
        end: Seconds from the start of the video; not before `start`. From 0 to 1000000.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class CueRules:
    """How words become captions.

    What is not given follows from the preset of the style; no caption goes on over a longer pause. Scripts that put
    no blanks between words are broken where their rules allow it.

    Attributes:
        words_per_line: Most words in a line, which are filled up; when not given, 1 in word, 3 in pop, 4 in bold,
            karaoke and underline, and else lines are about equally long. From 1 to 50.
        max_lines: Most lines of a caption; when not given 2, but in word and pop 1. From 1 to 10.
        letters_per_line: Most letters in a line, of which wide ones (Chinese, Japanese, Korean) count as two; when
            not given, 42, or as many as the picture has room for. From 1 to 500.
        pause_seconds: Seconds without a word after which a new caption begins. From 0 to 60. Default: 0.7.
        sentences: A new caption begins after the end of a sentence, also when this is not given.
    """

    words_per_line: Annotated[
        int | None,
        Option(
            "Most words in a line, which are filled up; when not given, 1 in word, 3 in pop, 4 in bold, karaoke and underline, and else lines are about equally long.",
            "words-per-line",
            minimum=1,
            maximum=50,
        ),
    ] = None
    max_lines: Annotated[
        int | None,
        Option("Most lines of a caption; when not given 2, but in word and pop 1.", "max-lines", minimum=1, maximum=10),
    ] = None
    letters_per_line: Annotated[
        int | None,
        Option(
            "Most letters in a line, of which wide ones (Chinese, Japanese, Korean) count as two; when not given, 42, or as many as the picture has room for.",
            "letters-per-line",
            minimum=1,
            maximum=500,
        ),
    ] = None
    pause_seconds: Annotated[
        float | None,
        Option(
            "Seconds without a word after which a new caption begins.",
            "pause-seconds",
            minimum=0,
            maximum=60,
            default="0.7",
        ),
    ] = None
    sentences: Annotated[
        bool | None,
        Option("A new caption begins after the end of a sentence, also when this is not given.", "sentences"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The camera over a still (Ken Burns).

    Frame n of N shows a window of 1/z of the picture's width and height, where z = start_zoom + (end_zoom −
    start_zoom)·e(n/N) and e is the easing.

    Attributes:
        start_zoom: Zoom of the first frame. From 1 to 10. Default: 1.
        end_zoom: Zoom that the last frame comes up to. From 1 to 10. Default: 1.324.
        zoom_out: The two zooms change places: the camera moves away.
        pan: Where the window travels; goes before the focus on the axes that it names.
        focus_x: The point that stays in its place, across: 0 left to 1 right. From 0 to 1. Default: 0.5.
        focus_y: The point that stays in its place, down: 0 top to 1 bottom. From 0 to 1. Default: 0.5.
        easing: How the movement spreads over time. Default: linear.
    """

    start_zoom: Annotated[
        float | None, Option("Zoom of the first frame.", "start-zoom", minimum=1, maximum=10, default="1")
    ] = None
    end_zoom: Annotated[
        float | None,
        Option("Zoom that the last frame comes up to.", "end-zoom", minimum=1, maximum=10, default="1.324"),
    ] = None
    zoom_out: Annotated[bool, Option("The two zooms change places: the camera moves away.", "zoom-out")] = False
    pan: Annotated[
        Pan | None, Option("Where the window travels; goes before the focus on the axes that it names.", "pan")
    ] = None
    focus_x: Annotated[
        float | None,
        Option(
            "The point that stays in its place, across: 0 left to 1 right.",
            "focus-x",
            minimum=0,
            maximum=1,
            default="0.5",
        ),
    ] = None
    focus_y: Annotated[
        float | None,
        Option(
            "The point that stays in its place, down: 0 top to 1 bottom.",
            "focus-y",
            minimum=0,
            maximum=1,
            default="0.5",
        ),
    ] = None
    easing: Annotated[Easing | None, Option("How the movement spreads over time.", "easing", default="linear")] = None


@dataclass(frozen=True)
class Still:
    """One still of a batch.

    Attributes:
        source: Source of the image.
        seconds: Seconds of the clip. It has round(duracao · frame_rate) frames. From 0.1 to 600. Default: 5.
        motion: The camera over this still.
    """

    source: Source
    seconds: Annotated[
        float | None, Option("Seconds of the clip.", "seconds", minimum=0.1, maximum=600, default="5")
    ] = None
    motion: Annotated[Motion | None, Option("The camera over this still.", "motion")] = None


@dataclass(frozen=True, kw_only=True)
class Soundtrack:
    """How a soundtrack is put on a video.

    Gains are in dB, times in seconds of the result.

    Attributes:
        mix: The video's own sound is kept, and the two are mixed. The result is then as long as the video. A video
            without sound is told as the warning NO_ORIGINAL_AUDIO, one with more audio tracks than the one that is
            mixed as OTHER_AUDIO_DROPPED.
        original_gain: Gain of the video's own sound, dB (mix). From -60 to 20. Default: 0.
        gain: Gain of the soundtrack, dB. From -60 to 20. Default: 0.
        duck: The soundtrack gives way while there is speech in the video's own sound (mix).
        fade_in: Length of the fade at the start, seconds. From 0 to 600.
        fade_out: Length of the fade at the end of the result, seconds. From 0 to 600.
        loop: The soundtrack begins anew until the video ends.
        start: Seconds of the audio file to leave out at its start. From 0 to 1000000.
        delay: Seconds of the video before the soundtrack begins. From 0 to 1000000.
        loudness: Integrated loudness of the result in LUFS (EBU R 128), −14 or −16 as a rule; left as it is when
            not given. From -40 to -5.
    """

    mix: Annotated[bool, Option("The video's own sound is kept, and the two are mixed.", "mix")] = False
    original_gain: Annotated[
        float | None,
        Option("Gain of the video's own sound, dB (mix).", "original-gain", minimum=-60, maximum=20, default="0"),
    ] = None
    gain: Annotated[
        float | None, Option("Gain of the soundtrack, dB.", "gain", minimum=-60, maximum=20, default="0")
    ] = None
    duck: Annotated[
        bool, Option("The soundtrack gives way while there is speech in the video's own sound (mix).", "duck")
    ] = False
    fade_in: Annotated[
        float | None, Option("Length of the fade at the start, seconds.", "fade-in", minimum=0, maximum=600)
    ] = None
    fade_out: Annotated[
        float | None,
        Option("Length of the fade at the end of the result, seconds.", "fade-out", minimum=0, maximum=600),
    ] = None
    loop: Annotated[bool, Option("The soundtrack begins anew until the video ends.", "loop")] = False
    start: Annotated[
        float | None,
        Option("Seconds of the audio file to leave out at its start.", "start", minimum=0, maximum=1000000),
    ] = None
    delay: Annotated[
        float | None, Option("Seconds of the video before the soundtrack begins.", "delay", minimum=0, maximum=1000000)
    ] = None
    loudness: Annotated[
        float | None,
        Option(
            "Integrated loudness of the result in LUFS (EBU R 128), −14 or −16 as a rule; left as it is when not given.",
            "loudness",
            minimum=-40,
            maximum=-5,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Sprites:
    """A sheet of small pictures, "sprites.jpg", and a WebVTT file, "sprites.vtt".

    The WebVTT tells which part of the sheet stands for which seconds: `sprites.jpg#xywh=160,0,160,90`.

    Attributes:
        interval_seconds: Seconds from picture to picture; when not given, so many that there are 100 pictures at
            most. From 0.1 to 3600.
        columns: Pictures in a row. From 1 to 20. Default: 10.
        width: Pixels across of each picture, even. From 32 to 640. Default: 160.
    """

    interval_seconds: Annotated[
        float | None,
        Option(
            "Seconds from picture to picture; when not given, so many that there are 100 pictures at most.",
            "sprites-interval",
            minimum=0.1,
            maximum=3600,
        ),
    ] = None
    columns: Annotated[
        int | None, Option("Pictures in a row.", "sprites-columns", minimum=1, maximum=20, default="10")
    ] = None
    width: Annotated[
        int | None,
        Option("Pixels across of each picture, even.", "sprites-width", minimum=32, maximum=640, default="160"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What is seen between two scenes.

    They overlap by its seconds, and their sounds fade into each other: two scenes of 5 s with a transition of 1 s
    last 9 s. It may take half of either scene at most.

    Attributes:
        kind: What kind it is. Default: crossfade.
        seconds: How long it takes. A cut takes no time. From 0.1 to 2. Default: 0.5.
        direction: Where what moves goes (slide, wipe). Default: left.
    """

    kind: Annotated[TransitionKind | None, Option("What kind it is.", "transition", default="crossfade")] = None
    seconds: Annotated[
        float | None, Option("How long it takes.", "transition-seconds", minimum=0.1, maximum=2, default="0.5")
    ] = None
    direction: Annotated[
        Direction | None, Option("Where what moves goes (slide, wipe).", "transition-direction", default="left")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene of a story: a still or a video.

    It lasts `seconds`; when not given, as long as its own narration and `pause`; without one, from `from_seconds`
    to `to_seconds`; a video without any of these as long as it is, and a still an even share of what the other
    scenes leave of the narration of the story.

    Attributes:
        id: Names the scene in the answer, another one for each scene. When not given, its place does, from 1.
        image: Source of the still. A scene has this or `video`.
        video: Source of the video.
        seconds: Seconds of the scene. A video that is shorter stands still at its last frame. From 0.1 to 3600.
        narration: Source of the narration of this scene, which begins with it.
        pause: Seconds that the scene goes on after its narration. From 0 to 600. Default: 0.
        from_seconds: Second of the narration of the whole story at which the scene begins; goes with `to_seconds`.
            From 0 to 1000000.
        to_seconds: Second of the narration of the whole story at which the scene ends; goes with `from_seconds`.
            From 0 to 1000000.
        motion: The camera over the still; that of the story when not given.
        fit: How a picture of another shape is fitted in; as the story has it when not given.
        start: Seconds of the video to leave out at its start. From 0 to 1000000.
        end: Second of the video at which it is cut off; its end when not given. From 0 to 1000000.
        muted: The sound of the video is left out.
        gain: Gain of the sound of the video, dB. From -60 to 20. Default: 0.
        transition: What is seen between this scene and the next one; as the story has it when not given.
    """

    id: Annotated[str | None, Option("Names the scene in the answer, another one for each scene.", "id")] = None
    image: Annotated[Source | None, Option("Source of the still.", "image")] = None
    video: Annotated[Source | None, Option("Source of the video.", "video")] = None
    seconds: Annotated[float | None, Option("Seconds of the scene.", "seconds", minimum=0.1, maximum=3600)] = None
    narration: Annotated[
        Source | None, Option("Source of the narration of this scene, which begins with it.", "narration")
    ] = None
    pause: Annotated[
        float | None,
        Option("Seconds that the scene goes on after its narration.", "pause", minimum=0, maximum=600, default="0"),
    ] = None
    from_seconds: Annotated[
        float | None,
        Option(
            "Second of the narration of the whole story at which the scene begins; goes with `to_seconds`.",
            "from-seconds",
            minimum=0,
            maximum=1000000,
        ),
    ] = None
    to_seconds: Annotated[
        float | None,
        Option(
            "Second of the narration of the whole story at which the scene ends; goes with `from_seconds`.",
            "to-seconds",
            minimum=0,
            maximum=1000000,
        ),
    ] = None
    motion: Annotated[
        Motion | None, Option("The camera over the still; that of the story when not given.", "motion")
    ] = None
    fit: Annotated[
        Fit | None, Option("How a picture of another shape is fitted in; as the story has it when not given.", "fit")
    ] = None
    start: Annotated[
        float | None, Option("Seconds of the video to leave out at its start.", "start", minimum=0, maximum=1000000)
    ] = None
    end: Annotated[
        float | None,
        Option(
            "Second of the video at which it is cut off; its end when not given.", "end", minimum=0, maximum=1000000
        ),
    ] = None
    muted: Annotated[bool, Option("The sound of the video is left out.", "muted")] = False
    gain: Annotated[
        float | None, Option("Gain of the sound of the video, dB.", "gain", minimum=-60, maximum=20, default="0")
    ] = None
    transition: Annotated[
        Transition | None,
        Option("What is seen between this scene and the next one; as the story has it when not given.", "transition"),
    ] = None


class CaptionOptions(TypedDict, total=False):
    """Options of an operation: Burn subtitles into a video.

    Attributes:
        font: Source of a font (TrueType or OpenType) for the captions.
        style: The look of the captions.
        words: When each word is said (karaoke): every word of the subtitles, in their order. When not given,
            WebVTT's times of words count, and else the letters share the time of their caption. Without subtitles
            the words are the captions, cut as `cues` says.
        container: The kind of file to make. Default: mp4.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        charset: Encoding of the subtitles, like "windows-1251" or "shift_jis". When not given, their byte order
            mark counts, else what their server says, else they are UTF-8 where they can be; else it is guessed, and
            a warning names it.
        language: Language of the subtitles ("tr", "el-GR"), by whose rules capitals are made. When not given, that
            which the file gives counts.
        srt_text: The subtitles themselves, of any kind that `subtitles` takes, in place of it.
        cues: How words become captions: of `words` alone, and where this is given, of subtitles too, which are then
            cut anew.
        readability: Whether captions that are hard to read are told as warnings. Default: off.
        max_cost_usd: The most that the job may cost, in US dollars. One that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
        encode_all: Every frame is encoded. When not given, frames without a caption are copied where the video
            allows it (H.264, or H.265 where the encoder makes that), as they are: in less time, and as many bytes
            as they have there.
    """

    font: Annotated[Source | None, Option("Source of a font (TrueType or OpenType) for the captions.", "font")]
    style: Annotated[CaptionStyle | None, Option("The look of the captions.", "style")]
    words: Annotated[
        Iterable[Word] | None,
        Option("When each word is said (karaoke): every word of the subtitles, in their order.", "words"),
    ]
    container: Annotated[Container | None, Option("The kind of file to make.", "container", default="mp4")]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    charset: Annotated[str | None, Option('Encoding of the subtitles, like "windows-1251" or "shift_jis".', "charset")]
    language: Annotated[
        str | None, Option('Language of the subtitles ("tr", "el-GR"), by whose rules capitals are made.', "language")
    ]
    srt_text: Annotated[
        str | None, Option("The subtitles themselves, of any kind that `subtitles` takes, in place of it.", "srt-text")
    ]
    cues: Annotated[
        CueRules | None,
        Option(
            "How words become captions: of `words` alone, and where this is given, of subtitles too, which are then cut anew.",
            "cues",
        ),
    ]
    readability: Annotated[
        Readability | None,
        Option("Whether captions that are hard to read are told as warnings.", "readability", default="off"),
    ]
    max_cost_usd: Annotated[
        float | None, Option("The most that the job may cost, in US dollars.", "max-cost-usd", minimum=0)
    ]
    encode_all: Annotated[bool | None, Option("Every frame is encoded.", "encode-all")]


class Img2VidOptions(TypedDict, total=False):
    """Options of an operation: Turn stills into clips with a slow zoom.

    Attributes:
        fps: Frames per second of every clip. From 1 to 60. Default: 24.
        width: Pixels across of every clip, even. No clip has more than 3840·2160 pixels. From 16 to 3840. Default:
            1920.
        height: Pixels down of every clip, even. From 16 to 3840. Default: 1080.
        fit: How stills of another shape are fitted in. Default: cover.
        background: Color of the bars (contain) and behind transparent stills, "#RRGGBB". Default: black.
        motion: The camera over every still that has no motion of its own.
        container: The kind of file to make. Default: mp4.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        max_cost_usd: The most that the job may cost, in US dollars. One that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
    """

    fps: Annotated[float | None, Option("Frames per second of every clip.", "fps", minimum=1, maximum=60, default="24")]
    width: Annotated[
        int | None, Option("Pixels across of every clip, even.", "width", minimum=16, maximum=3840, default="1920")
    ]
    height: Annotated[
        int | None, Option("Pixels down of every clip, even.", "height", minimum=16, maximum=3840, default="1080")
    ]
    fit: Annotated[Fit | None, Option("How stills of another shape are fitted in.", "fit", default="cover")]
    background: Annotated[
        str | None,
        Option(
            'Color of the bars (contain) and behind transparent stills, "#RRGGBB".',
            "background",
            default="black",
            metavar="COLOR",
        ),
    ]
    motion: Annotated[Motion | None, Option("The camera over every still that has no motion of its own.", "motion")]
    container: Annotated[Container | None, Option("The kind of file to make.", "container", default="mp4")]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    max_cost_usd: Annotated[
        float | None, Option("The most that the job may cost, in US dollars.", "max-cost-usd", minimum=0)
    ]


class AddAudioOptions(TypedDict, total=False):
    """Options of an operation: Put a soundtrack on a video.

    Attributes:
        soundtrack: How it is put on: mixed, faded, looped, at which loudness.
        container: The kind of file to make. Default: mp4.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        max_cost_usd: The most that the job may cost, in US dollars. One that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
    """

    soundtrack: Annotated[
        Soundtrack | None, Option("How it is put on: mixed, faded, looped, at which loudness.", "soundtrack")
    ]
    container: Annotated[Container | None, Option("The kind of file to make.", "container", default="mp4")]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    max_cost_usd: Annotated[
        float | None, Option("The most that the job may cost, in US dollars.", "max-cost-usd", minimum=0)
    ]


class ConcatOptions(TypedDict, total=False):
    """Options of an operation: Join videos, one after the other.

    Attributes:
        width: Pixels across: even; as the first video when not given, or by its shape from `height`. From 16 to
            3840.
        height: Pixels down: even; as the first video when not given, or by its shape from `width`. From 16 to 3840.
        fps: Frames per second; those of the first video when not given. From 1 to 60.
        container: The kind of file to make. Default: mp4.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        max_cost_usd: The most that the job may cost, in US dollars: one that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
    """

    width: Annotated[
        int | None,
        Option(
            "Pixels across: even; as the first video when not given, or by its shape from `height`.",
            "width",
            minimum=16,
            maximum=3840,
        ),
    ]
    height: Annotated[
        int | None,
        Option(
            "Pixels down: even; as the first video when not given, or by its shape from `width`.",
            "height",
            minimum=16,
            maximum=3840,
        ),
    ]
    fps: Annotated[
        float | None,
        Option("Frames per second; those of the first video when not given.", "fps", minimum=1, maximum=60),
    ]
    container: Annotated[Container | None, Option("The kind of file to make.", "container", default="mp4")]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    max_cost_usd: Annotated[
        float | None,
        Option(
            "The most that the job may cost, in US dollars: one that is expected to cost more is refused (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped.",
            "max-cost-usd",
            minimum=0,
        ),
    ]


class ThumbnailOptions(TypedDict, total=False):
    """Options of an operation: Take a picture of a video.

    Attributes:
        at_seconds: Seconds from the start of the video; when not given, the most telling of several pictures is
            taken. From 0 to 1000000.
        format: The kind of image. Default: jpeg.
        width: Pixels across; those of the video when not given. The shape stays. From 16 to 3840.
        sprites: A sheet of small pictures of the whole video, for players' seek bars. Default: none.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        max_cost_usd: The most that the job may cost, in US dollars: one that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
    """

    at_seconds: Annotated[
        float | None,
        Option(
            "Seconds from the start of the video; when not given, the most telling of several pictures is taken.",
            "at-seconds",
            minimum=0,
            maximum=1000000,
        ),
    ]
    format: Annotated[ImageFormat | None, Option("The kind of image.", "format", default="jpeg")]
    width: Annotated[
        int | None, Option("Pixels across; those of the video when not given.", "width", minimum=16, maximum=3840)
    ]
    sprites: Annotated[
        Sprites | None,
        Option("A sheet of small pictures of the whole video, for players' seek bars.", "sprites", default="none"),
    ]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    max_cost_usd: Annotated[
        float | None,
        Option(
            "The most that the job may cost, in US dollars: one that is expected to cost more is refused (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped.",
            "max-cost-usd",
            minimum=0,
        ),
    ]


class StoryOptions(TypedDict, total=False):
    """Options of an operation: Make a finished film of scenes, with narration, music and captions.

    Attributes:
        narration: Source of the narration of the whole film, which begins with it.
        narration_gain: Gain of the narration, dB, of that of the whole film and of those of the scenes. From -60 to
            20. Default: 0.
        music: Source of the music.
        soundtrack: How the music is put under the film. It is always mixed; `original_gain` is the gain of all
            other sound, and `loudness` is that of the whole.
        subtitles: Source of the subtitles, by the clock of the film: any of the kinds that caption takes.
        srt_text: The subtitles themselves, of any kind that `subtitles` takes, in place of it.
        words: When each word is said, by the clock of the film: every word of the subtitles, in their order.
            Without subtitles the words are the captions, cut as `cues` says.
        style: The look of the captions.
        font: Source of a font (TrueType or OpenType) for the captions.
        charset: Encoding of the subtitles, like "windows-1251" or "shift_jis". When not given, their byte order
            mark counts, else what their server says, else they are UTF-8 where they can be; else it is guessed, and
            a warning names it.
        language: Language of the subtitles ("tr", "el-GR"), by whose rules capitals are made. When not given, that
            which the file gives counts.
        transition: What is seen between scenes that say nothing of it. Default: cuts.
        canvas: The shape of the film, in place of `width` and `height`. Default: 16:9.
        width: Pixels across, even. The film has no more than 3840·2160 pixels. From 16 to 3840. Default: 1920.
        height: Pixels down, even. From 16 to 3840. Default: 1080.
        fps: Frames per second. From 1 to 60. Default: 24.
        background: Color of the bars (contain) and behind transparent stills, "#RRGGBB". Default: black.
        allow_partial: What is there of an input that is cut off (a recording that crashed, a download that broke
            off) is taken, and told as the warning INPUT_CUT_OFF. When not given, such an input is refused.
        max_cost_usd: The most that the job may cost, in US dollars. One that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
        motion: The camera over every still that has no motion of its own.
        fit: How pictures of another shape are fitted in. Default: cover.
        container: The kind of file to make. Default: mp4.
        cues: How words become captions: of `words` alone, and where this is given, of subtitles too, which are then
            cut anew.
        readability: Whether captions that are hard to read are told as warnings. Default: off.
    """

    narration: Annotated[
        Source | None, Option("Source of the narration of the whole film, which begins with it.", "narration")
    ]
    narration_gain: Annotated[
        float | None,
        Option(
            "Gain of the narration, dB, of that of the whole film and of those of the scenes.",
            "narration-gain",
            minimum=-60,
            maximum=20,
            default="0",
        ),
    ]
    music: Annotated[Source | None, Option("Source of the music.", "music")]
    soundtrack: Annotated[Soundtrack | None, Option("How the music is put under the film.", "soundtrack")]
    subtitles: Annotated[
        Source | None,
        Option("Source of the subtitles, by the clock of the film: any of the kinds that caption takes.", "srt"),
    ]
    srt_text: Annotated[
        str | None, Option("The subtitles themselves, of any kind that `subtitles` takes, in place of it.", "srt-text")
    ]
    words: Annotated[
        Iterable[Word] | None,
        Option(
            "When each word is said, by the clock of the film: every word of the subtitles, in their order.", "words"
        ),
    ]
    style: Annotated[CaptionStyle | None, Option("The look of the captions.", "style")]
    font: Annotated[Source | None, Option("Source of a font (TrueType or OpenType) for the captions.", "font")]
    charset: Annotated[str | None, Option('Encoding of the subtitles, like "windows-1251" or "shift_jis".', "charset")]
    language: Annotated[
        str | None, Option('Language of the subtitles ("tr", "el-GR"), by whose rules capitals are made.', "language")
    ]
    transition: Annotated[
        Transition | None, Option("What is seen between scenes that say nothing of it.", "transition", default="cuts")
    ]
    canvas: Annotated[
        Canvas | None, Option("The shape of the film, in place of `width` and `height`.", "canvas", default="16:9")
    ]
    width: Annotated[int | None, Option("Pixels across, even.", "width", minimum=16, maximum=3840, default="1920")]
    height: Annotated[int | None, Option("Pixels down, even.", "height", minimum=16, maximum=3840, default="1080")]
    fps: Annotated[float | None, Option("Frames per second.", "fps", minimum=1, maximum=60, default="24")]
    background: Annotated[
        str | None,
        Option(
            'Color of the bars (contain) and behind transparent stills, "#RRGGBB".',
            "background",
            default="black",
            metavar="COLOR",
        ),
    ]
    allow_partial: Annotated[
        bool | None,
        Option(
            "What is there of an input that is cut off (a recording that crashed, a download that broke off) is taken, and told as the warning INPUT_CUT_OFF.",
            "allow-partial",
        ),
    ]
    max_cost_usd: Annotated[
        float | None, Option("The most that the job may cost, in US dollars.", "max-cost-usd", minimum=0)
    ]
    motion: Annotated[Motion | None, Option("The camera over every still that has no motion of its own.", "motion")]
    fit: Annotated[Fit | None, Option("How pictures of another shape are fitted in.", "fit", default="cover")]
    container: Annotated[Container | None, Option("The kind of file to make.", "container", default="mp4")]
    cues: Annotated[
        CueRules | None,
        Option(
            "How words become captions: of `words` alone, and where this is given, of subtitles too, which are then cut anew.",
            "cues",
        ),
    ]
    readability: Annotated[
        Readability | None,
        Option("Whether captions that are hard to read are told as warnings.", "readability", default="off"),
    ]


class ProbeOptions(TypedDict, total=False):
    """Options of an operation: Tell what a file holds.

    Attributes:
        loudness: Measure how loud the sound is (EBU R 128), for which all of it is read and decoded.
        max_cost_usd: The most that the job may cost, in US dollars: one that is expected to cost more is refused
            (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped. Own encoders cost
            nothing. At least 0.
    """

    loudness: Annotated[
        bool | None,
        Option("Measure how loud the sound is (EBU R 128), for which all of it is read and decoded.", "loudness"),
    ]
    max_cost_usd: Annotated[
        float | None,
        Option(
            "The most that the job may cost, in US dollars: one that is expected to cost more is refused (FAILED_PRECONDITION, reason COST_LIMIT), one that comes to cost more is stopped.",
            "max-cost-usd",
            minimum=0,
        ),
    ]


class FrameOptions(TypedDict, total=False):
    """Options of an operation: Render one picture of what another operation would make.

    Attributes:
        at_seconds: Seconds from the start of the result; when not given, the middle of the first caption, or of the
            clip. From 0 to 1000000.
        format: The kind of image. Default: jpeg.
        width: Pixels across; those of the result when not given. The shape stays. From 16 to 3840.
    """

    at_seconds: Annotated[
        float | None,
        Option(
            "Seconds from the start of the result; when not given, the middle of the first caption, or of the clip.",
            "at-seconds",
            minimum=0,
            maximum=1000000,
        ),
    ]
    format: Annotated[ImageFormat | None, Option("The kind of image.", "format", default="jpeg")]
    width: Annotated[
        int | None,
        Option("Pixels across; those of the result when not given.", "picture-width", minimum=16, maximum=3840),
    ]


class Status(StrEnum):
    """The status of a job, by the names of the JSON surface."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


OPERATIONS: dict[str, Operation] = {
    "caption": Operation(
        "Burn subtitles into a video.",
        {
            "video": Input("Source of the video."),
            "subtitles": Input(
                "Source of the subtitles: SubRip (.srt), WebVTT (.vtt), ASS, SSA, SBV, LRC, TTML, SAMI or whisper's JSON; told by the content. Needed, unless `srt_text` or `words` is given.",
                unless=(
                    "srt_text",
                    "words",
                ),
            ),
        },
        CaptionOptions,
    ),
    "img2vid": Operation(
        "Turn stills into clips with a slow zoom.",
        {
            "images": Input("The stills, each a task of its own.", is_many=True),
        },
        Img2VidOptions,
        Still,
    ),
    "addaudio": Operation(
        "Put a soundtrack on a video.",
        {
            "video": Input("Source of the video."),
            "audio": Input("Source of the audio: an audio file, or a video whose audio is taken."),
        },
        AddAudioOptions,
    ),
    "concat": Operation(
        "Join videos, one after the other.",
        {
            "videos": Input("Sources of the videos, in their order.", is_many=True),
        },
        ConcatOptions,
    ),
    "thumbnail": Operation(
        "Take a picture of a video.",
        {
            "video": Input("Source of the video."),
        },
        ThumbnailOptions,
    ),
    "story": Operation(
        "Make a finished film of scenes, with narration, music and captions.",
        {
            "scenes": Input("The scenes, in their order.", is_many=True),
        },
        StoryOptions,
    ),
    "probe": Operation(
        "Tell what a file holds.",
        {
            "file": Input("Source of the file: a video, sound, an image or subtitles; told by the content."),
        },
        ProbeOptions,
    ),
    "frame": Operation(
        "Render one picture of what another operation would make.",
        {},
        FrameOptions,
    ),
}
