"""The options of the Python client and of the command line are those of the protos; how they become messages."""

import inspect
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
import typer

from api_gpu.cli.main import app
from api_gpu.client import CaptionStyle, Client, Motion, Soundtrack, Still, Word
from api_gpu.requests import fill
from apigpu.v1 import options_pb2, video_pb2
from apigpu.v1.caption_style_pb2 import CaptionStyle as CaptionStyleMessage
from apigpu.v1.caption_style_pb2 import CaptionWord
from apigpu.v1.motion_pb2 import Motion as MotionMessage
from apigpu.v1.soundtrack_pb2 import Soundtrack as SoundtrackMessage
from servicekit.enums import number_of, short_names
from servicekit.errors import InvalidArgument

OPTIONS = {
    CaptionStyle: CaptionStyleMessage.DESCRIPTOR,
    Motion: MotionMessage.DESCRIPTOR,
    Soundtrack: SoundtrackMessage.DESCRIPTOR,
    Word: CaptionWord.DESCRIPTOR,
}
REQUESTS = {
    "caption": video_pb2.CaptionRequest.DESCRIPTOR,
    "img2vid": video_pb2.Img2VidRequest.DESCRIPTOR,
    "addaudio": video_pb2.AddAudioRequest.DESCRIPTOR,
}
# What goes by another name in Python.
RENAMED = {
    "url_video": "video",
    "url_srt": "subtitles",
    "url_font": "font",
    "url_audio": "audio",
    "frame_rate": "fps",
    "width": "size",
    "height": "size",
}
OLDER_FORM = {"url_image", "duration"}
# What goes by another name on the command line, which has a flat list of options for each operation.
FLAGS = {"style.font": "--font-family", "frame_rate": "--fps"}
NO_FLAGS = {"url_video", "url_srt", "url_audio", "images"}


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_a_dataclass_has_every_field_of_its_message_and_no_other(kind: Any) -> None:
    assert [field.name for field in fields(kind)] == [field.name for field in OPTIONS[kind].fields]


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_call_takes_every_field_of_its_request(operation: str) -> None:
    wanted = [
        RENAMED.get(field.name, field.name) for field in REQUESTS[operation].fields if field.name not in OLDER_FORM
    ]
    taken = set(inspect.signature(getattr(Client, operation)).parameters) - {"self"}
    assert taken - {"seconds"} == set(wanted)


def test_a_still_has_every_field_of_its_message() -> None:
    names = {"source": "image_url", "seconds": "duracao", "motion": "motion"}
    assert [field.name for field in fields(Still)] == list(names)
    assert {"id", *names.values()} == {field.name for field in video_pb2.Img2VidImage.DESCRIPTOR.fields}


@pytest.mark.parametrize("owner", [*OPTIONS, *(getattr(Client, name) for name in REQUESTS)], ids=lambda it: it.__name__)
def test_choices_are_typed_by_the_short_names(owner: Any) -> None:
    descriptor = OPTIONS.get(owner) or REQUESTS[owner.__name__]
    hints = get_type_hints(owner)
    for field in descriptor.fields:
        if field.enum_type is not None:
            (choice,) = (hint for hint in get_args(hints[field.name]) if hint is not type(None))
            assert list(get_args(choice)) == short_names(field.enum_type), field.full_name


def flags(descriptor: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The options that the command line needs for a message: the flag and the field."""
    found = []
    for field in descriptor.fields:
        path = prefix + field.name
        if field.message_type is not None and not field.is_repeated:
            found += flags(field.message_type, f"{path}.")
        elif path not in OLDER_FORM | NO_FLAGS:
            plain = "--" + field.name.removeprefix("url_").replace("_", "-")
            found.append((FLAGS.get(path, plain), field))
    return found


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_command_takes_every_option_within_its_range(operation: str) -> None:
    command = typer.main.get_command(app).commands[operation]  # type: ignore[attr-defined]
    options = {name: option for option in command.params for name in option.opts}
    for flag, field in flags(REQUESTS[operation]):
        option, rules = options[flag], field.GetOptions().Extensions[options_pb2.field]
        for bound in ("min", "max"):
            if rules.HasField(bound):
                assert getattr(option, bound) == getattr(rules, bound), flag


def test_what_is_not_given_is_not_set() -> None:
    for kind, descriptor in (
        (CaptionStyle, CaptionStyleMessage),
        (Motion, MotionMessage),
        (Soundtrack, SoundtrackMessage),
    ):
        options = descriptor()
        fill(options, **{field.name: getattr(kind(), field.name) for field in fields(kind)})
        assert options.ByteSize() == 0
    request = video_pb2.CaptionRequest()
    fill(request, style=None, words=None, container=None)
    assert request.ByteSize() == 0


def test_zero_and_false_are_given() -> None:
    request = video_pb2.CaptionRequest()
    fill(request, style=CaptionStyle(outline=0, bold=False, margin_x=0))
    assert {field.name for field, _ in request.style.ListFields()} == {"outline", "bold", "margin_x"}


def test_options_that_say_nothing_are_given_all_the_same() -> None:
    image, request = video_pb2.Img2VidImage(), video_pb2.CaptionRequest()
    fill(image, id="a", motion=Motion())  # in place of that of the call
    fill(request, style=CaptionStyle())
    assert image.HasField("motion")
    assert request.HasField("style")


def test_options_become_a_message() -> None:
    request = video_pb2.CaptionRequest()
    style = CaptionStyle(preset="karaoke", position="top-left", size=8, capitals=True)
    fill(request, style=style, words=[Word("Hello", 0, 0.4), Word("you", 0.5, 1)], container="fragmented-mp4")
    wanted = video_pb2.CaptionRequest(
        style=CaptionStyleMessage(
            preset=CaptionStyleMessage.PRESET_KARAOKE,
            position=CaptionStyleMessage.POSITION_TOP_LEFT,
            size=8,
            capitals=True,
        ),
        words=[CaptionWord(text="Hello", start=0, end=0.4), CaptionWord(text="you", start=0.5, end=1)],
        container=video_pb2.CONTAINER_FRAGMENTED_MP4,
    )
    assert request == wanted


@pytest.mark.parametrize("name", ["top-left", "TOP_LEFT", "POSITION_TOP_LEFT"])
def test_a_choice_goes_by_its_full_name_too(name: Any) -> None:
    assert number_of(CaptionStyleMessage.Position.DESCRIPTOR, name) == CaptionStyleMessage.POSITION_TOP_LEFT


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"preset": "loud"}, "style.preset is 'loud' and must be one of classic, bold, box, karaoke."),
        ({"position": 1}, "style.position is 1 and must be one of bottom-left, bottom, bottom-right, left, "),
        ({"size": "big"}, "style.size is 'big' and must be a number."),
        ({"color": 0xFFFFFF}, "style.color is 16777215 and must be text."),
        ({"bold": "yes"}, "style.bold is 'yes' and must be true or false."),
    ],
)
def test_a_wrong_option_is_told_by_its_field(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        fill(video_pb2.CaptionRequest(), style=CaptionStyle(**wrong))
    assert raised.value.message.startswith(text)
    assert list(raised.value.fields) == [text.split()[0]]


def test_a_wrong_word_is_told_by_its_place() -> None:
    late: Any = "1s"
    with pytest.raises(InvalidArgument, match=r"words\[1\]\.start is '1s' and must be a number\."):
        fill(video_pb2.CaptionRequest(), words=[Word("a", 0, 1), Word("b", late, 2)])


@pytest.mark.parametrize("width", [-2, 640.5, "wide", 2**40])
def test_a_size_is_whole_pixels(width: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"width is .* and must be a whole number"):
        fill(video_pb2.Img2VidRequest(), width=width)
