"""The options of the Python client and of the command line come from the protos; how they become messages."""

from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
import typer

from api_gpu import CaptionStyle, Motion, Soundtrack, Still, Word
from api_gpu.cli.main import app
from api_gpu.requests import client_name, fill
from apigpu.options import OPERATIONS
from apigpu.v1 import options_pb2, video_pb2
from apigpu.v1.caption_style_pb2 import CaptionStyle as CaptionStyleMessage
from apigpu.v1.caption_style_pb2 import CaptionWord
from apigpu.v1.motion_pb2 import Motion as MotionMessage
from apigpu.v1.soundtrack_pb2 import Soundtrack as SoundtrackMessage
from servicekit.enums import number_of, short_names
from servicekit.errors import InvalidArgument
from tools import client_options, option_tables

OPTIONS = {
    CaptionStyle: CaptionStyleMessage.DESCRIPTOR,
    Motion: MotionMessage.DESCRIPTOR,
    Soundtrack: SoundtrackMessage.DESCRIPTOR,
    Word: CaptionWord.DESCRIPTOR,
}
# What is made of others has no options of its own.
REQUESTS = {
    field.name: field.message_type
    for field in video_pb2.Operation.DESCRIPTOR.fields
    if not client_options.is_graph(field.message_type)
}


def rules(field: Any) -> Any:
    return field.GetOptions().Extensions[options_pb2.field]


def client_rules(field: Any) -> Any:
    return field.GetOptions().Extensions[options_pb2.client]


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_a_dataclass_has_every_field_of_its_message_and_no_other(kind: Any) -> None:
    assert [field.name for field in fields(kind)] == [field.name for field in OPTIONS[kind].fields]


@pytest.mark.parametrize("operation", REQUESTS)
def test_inputs_and_options_are_every_field_of_a_request(operation: str) -> None:
    described = OPERATIONS[operation]
    names = {client_name(field) for field in REQUESTS[operation].fields if not client_rules(field).hidden}
    assert set(described.inputs) | set(get_type_hints(described.options)) == names


def test_a_still_has_its_source_first_and_the_rest_where_it_is_given() -> None:
    assert [field.name for field in fields(Still)] == ["source", "seconds", "motion"]
    assert Still("a.png") == Still("a.png", seconds=None, motion=None)


@pytest.mark.parametrize("kind", [*OPTIONS, *REQUESTS])
def test_choices_are_typed_by_the_short_names(kind: Any) -> None:
    descriptor = OPTIONS.get(kind) or REQUESTS[kind]
    hints = get_type_hints(kind if kind in OPTIONS else OPERATIONS[kind].options)
    for field in descriptor.fields:
        if field.enum_type is not None:
            (choice,) = (hint for hint in get_args(hints[field.name]) if hint is not type(None))
            assert list(get_args(choice)) == short_names(field.enum_type), field.full_name


def flags(descriptor: Any) -> list[tuple[str, Any]]:
    """The options that the command line needs for a message: the flag and the field."""
    found = []
    for field in descriptor.fields:
        if field.message_type is not None and not field.is_repeated:
            found += flags(field.message_type)
        elif not client_rules(field).hidden and not rules(field).required:
            flag = client_rules(field).flag or client_name(field).replace("_", "-")
            found.append((f"--{flag}", field))
    return found


def commands_of(operation: str) -> dict[str, Any]:
    """The command of an operation, by its name; of one that makes a part of what others make, that of each."""
    command: Any = typer.main.get_command(app).commands[operation]  # type: ignore[attr-defined]
    return command.commands if hasattr(command, "commands") else {operation: command}


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_command_takes_every_option_within_its_range(operation: str) -> None:
    for name, command in commands_of(operation).items():
        check_ranges(command, flags(REQUESTS[name]))


def check_ranges(command: Any, wanted: list[tuple[str, Any]]) -> None:
    options = {name: option for option in command.params for name in option.opts}
    for flag, field in wanted:
        for bound in ("min", "max"):
            if rules(field).HasField(bound):
                assert getattr(options[flag], bound) == getattr(rules(field), bound), flag


def test_a_command_shows_the_first_sentence_the_default_and_the_choices() -> None:
    command = typer.main.get_command(app).commands["caption"]  # type: ignore[attr-defined]
    options = {name: option for option in command.params for name in option.opts}
    assert options["--margin-x"].help == "Room kept free left and right, percent of the width."
    assert options["--margin-x"].show_default == "5"
    assert options["--x"].help.endswith("goes with --y, in place of --position.")
    assert options["--preset"].show_default == "classic"


def test_the_tables_name_every_field_by_its_three_names() -> None:
    text = "\n".join(option_tables.table(request) for _, request in client_options.operations())
    assert "| `url_srt` | `subtitles` | `SUBTITLES` | source |" in text
    assert "| `style.font` | `style.font` | `--font-family` | text |" in text
    assert "| `style.margin_x` | `style.margin_x` | `--margin-x` | 0 to 45 | 5 |" in text
    assert "| `style.bold` | `style.bold` | `--bold/--no-bold` |" in text
    assert "| `images[].duracao` | `images[].seconds` |  | 0.1 to 600 | 5 |" in text
    assert "| `images[].id` |  |  | text |" in text


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
        ({"preset": "loud"}, "style.preset is 'loud' and must be one of classic, bold, box, karaoke, word, "),
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


def test_words_may_be_what_a_speech_recognizer_wrote() -> None:
    made = video_pb2.ChainRequest()
    written = {"segments": [{"words": [{"word": " Hello", "start": 0, "end": 0.4, "probability": 0.9}]}]}
    fill(made, steps=[{"story": {"scenes": [], "words": written}}])
    assert list(made.steps[0].story.words) == [CaptionWord(text=" Hello", start=0, end=0.4)]
    with pytest.raises(InvalidArgument, match="words: it tells no times of words") as refused:
        fill(video_pb2.CaptionRequest(), words={"segments": [{"start": 0, "end": 2, "text": "Hello you"}]})
    assert list(refused.value.fields) == ["words"]


def test_a_wrong_word_is_told_by_its_place() -> None:
    late: Any = "1s"
    with pytest.raises(InvalidArgument, match=r"words\[1\]\.start is '1s' and must be a number\."):
        fill(video_pb2.CaptionRequest(), words=[Word("a", 0, 1), Word("b", late, 2)])


@pytest.mark.parametrize("width", [-2, 640.5, "wide", 2**40])
def test_a_size_is_whole_pixels(width: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"width is .* and must be a whole number"):
        fill(video_pb2.Img2VidRequest(), width=width)


def test_inputs_are_kept_until_they_are_uploaded() -> None:
    request = video_pb2.CaptionRequest()
    inputs = fill(request, video="a.mp4", font="assets/x", style=CaptionStyle(font="Inter"))
    assert [(each.field, each.source) for each in inputs] == [("url_video", "a.mp4"), ("url_font", "assets/x")]
    assert request == video_pb2.CaptionRequest(style=CaptionStyleMessage(font="Inter"))
    inputs[0].set("assets/1")
    assert request.url_video == "assets/1"


def test_an_unknown_option_is_told_by_its_name() -> None:
    with pytest.raises(InvalidArgument, match="colour is no option"):
        fill(video_pb2.CaptionRequest(), colour="red")


@pytest.mark.parametrize(
    ("request_", "values", "text"),
    [
        ("ConcatRequest", {"videos": "talk.mp4"}, "videos is 'talk.mp4' and must be a list, also where it is of one."),
        ("ConcatRequest", {"videos": [7]}, "videos is 7 and must be a file, a URL or the name of an asset."),
        (
            "CaptionRequest",
            {"video": ["a.mp4"]},
            "video is ['a.mp4'] and must be a file, a URL or the name of an asset.",
        ),
        ("CaptionRequest", {"style": "bold"}, "style is 'bold' and must be an object of options, or a mapping."),
        ("CaptionRequest", {"words": "hello"}, "words is 'hello' and must be a list, also where it is of one."),
    ],
)
def test_a_value_of_another_shape_is_refused_in_words(request_, values, text):
    with pytest.raises(InvalidArgument) as caught:
        fill(getattr(video_pb2, request_)(), **values)
    assert caught.value.message == text


def test_a_number_larger_than_any_is_refused_with_its_place():
    with pytest.raises(InvalidArgument, match=r"words\[0\]\.start is 10+… and must be a number"):
        fill(video_pb2.CaptionRequest(), words=[{"text": "a", "start": 10**400}])
