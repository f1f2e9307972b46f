"""Each field of the older form: done under today's name, told in a warning, or refused with what to use instead."""

import copy

import pytest

from apigpu.v1 import video_pb2
from gateway.jobs import checks, operation
from gateway.rest.legacy import fields, styles
from gateway.rest.legacy.translation import NOT_SUPPORTED, LegacyNotes, translate
from gateway.rest.protojson import decode
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently
from tests.support.paths import ROOT

CAPTION = {"url_video": "https://a/v.mp4", "url_srt": "https://a/s.srt"}
SOUND = {"url_video": "https://a/v.mp4", "url_audio": "https://a/a.mp3"}
STILLS = [{"id": n, "image_url": "https://a/i.png", "duracao": 5} for n in range(5)]
SCENE = {"image_url": "https://a/i.png", "duracao": 5}
WORD = {"text": "Era", "start": 0.0, "end": 0.35}


def read(message, body):
    """Read a body as a request does; return the message, and what its answer says beside."""
    notes, made = LegacyNotes(), message()
    before = copy.deepcopy(body)
    decode.merge(made, translate(fields.TABLES, message.DESCRIPTOR, body, notes))
    assert body == before
    checks.check(operation.wrap(made), 500)
    return made, notes


def same(message, body):
    made = message()
    decode.merge(made, body)
    return made


def caption(older, today):
    return video_pb2.CaptionRequest, CAPTION | older, CAPTION | today


def style(older, today):
    return caption({"style": older}, {"style": today})


DONE = {
    "today's form": caption(
        {"style": {"font": "Arial", "position": "top"}, "words": [WORD]},
        {"style": {"font": "Arial", "position": "top"}, "words": [WORD]},
    ),
    "url_caption": (
        video_pb2.CaptionRequest,
        {"url_video": "a", "url_caption": "b"},
        {"url_video": "a", "url_srt": "b"},
    ),
    "left empty": caption({"path": None, "id_roteiro": "", "type": " ", "style": ""}, {}),
    "type segments": caption({"type": "segments"}, {}),
    "type highlight": caption({"type": "Highlight"}, {"style": {"preset": "karaoke"}}),
    "type highlight beside a preset": caption(
        {"type": "highlight", "style": {"preset": "box"}}, {"style": {"preset": "box"}}
    ),
    "uppercase": caption(
        {"uppercase": True, "style": {"preset": "bold"}}, {"style": {"preset": "bold", "capitals": True}}
    ),
    "words by word": caption(
        {"words": [{"word": " Era", "start": 0, "end": 0.35, "probability": 0.9}]},
        {"words": [{**WORD, "text": " Era"}]},
    ),
    "a file of words": caption({"words": {"words": [WORD]}}, {"words": [WORD]}),
    "segments of words": caption(
        {"words": {"segments": [{"words": [WORD]}, {"text": "no words"}, {"words": [WORD]}]}}, {"words": [WORD, WORD]}
    ),
    "segments of words of a story": (
        video_pb2.StoryRequest,
        {"scenes": [SCENE], "words": {"segments": [{"words": [{"word": "Era", "start": 0, "end": 0.35}]}]}},
        {"scenes": [SCENE], "words": [WORD]},
    ),
    "words by word of a frame": (
        video_pb2.FrameRequest,
        {"caption": CAPTION | {"words": [{"word": "Era", "start": 0, "end": 0.35}]}},
        {"caption": CAPTION | {"words": [WORD]}},
    ),
    "style: font": style(
        {"font": {"name": "Roboto", "size": 54, "bold": True, "italic": False}},
        {"font": "Roboto", "size": 5, "bold": True, "italic": False},
    ),
    "style: colors": style(
        {"colors": {"primary": "#FFFF00", "outline": "#FF0000"}}, {"color": "#FFFF00", "outline_color": "#FF0000"}
    ),
    "style: alpha": style(
        {"colors": {"primaryAlpha": 127.5, "outline": "#FF0000", "outlineAlpha": "255"}},
        {"color": "#FFFFFF80", "outline_color": "#FF000000"},
    ),
    "style: an outline": style(
        {"border": {"style": 1, "width": 5.4}, "colors": {"background": "#123456", "backgroundAlpha": 9}},
        {"outline": 0.5},
    ),
    "style: no border": style({"border": {"style": 0}}, {"outline": 0}),
    "style: a box": style(
        {"border": {"style": "3"}, "colors": {"outline": "#112233"}},
        {"outline_color": "#112233", "box_color": "#112233"},
    ),
    "style: a box of its own color": style(
        {"border": {"style": 4}, "colors": {"background": "#112233", "backgroundAlpha": 0}}, {"box_color": "#112233FF"}
    ),
    "style: a place": style(
        {"position": {"alignment": "middle_left", "marginVertical": 54, "marginLeft": 96}},
        {"position": "left", "margin_y": 5, "margin_x": 5},
    ),
    "style: a place by number": style({"position": {"alignment": 9}}, {"position": "top-right"}),
    "style: highlight": style(
        {
            "fonte": "Arial",
            "tamanho_fonte": 108,
            "fundo_cor": "#000000",
            "fundo_opacidade": 50,
            "texto_cor": "#FFFFFF",
            "highlight_texto_cor": "#FFFF00",
            "padding_horizontal": 96,
            "padding_vertical": 108,
            "position": "top_center",
            "fundo_arredondado": False,
        },
        {
            "font": "Arial",
            "size": 10,
            "box_color": "#00000080",
            "color": "#FFFFFF",
            "highlight_color": "#FFFF00",
            "margin_x": 5,
            "margin_y": 10,
            "position": "top",
        },
    ),
    "style: lines of words": (
        video_pb2.CaptionRequest,
        CAPTION | {"style": {"words_per_line": 3, "max_lines": "1"}},
        CAPTION | {"style": {}, "cues": {"words_per_line": 3, "max_lines": "1"}},
    ),
    "style: lines of words as here": style({"words_per_line": 4, "max_lines": 2}, {}),
    "style: round corners": style(
        {"fundo_cor": "#000000", "fundo_arredondado": True}, {"box_color": "#000000", "box_radius": 1.6}
    ),
    "style: a shadow": style({"border": {"shadow": 5.4}}, {"shadow": 0.5}),
    "style: the color of a word's border alone": style({"highlight_cor": "#D60000"}, {"highlight_color": "#D60000"}),
    "zoom_types": (
        video_pb2.Img2VidRequest,
        {
            "images": [*STILLS[:4], STILLS[4] | {"motion": {"pan": "up"}}],
            "zoom_types": ["zoomin", "ZoomOut", "zoompanright"],
        },
        {
            "images": [
                STILLS[0],
                STILLS[1] | {"motion": {"zoom_out": True}},
                STILLS[2] | {"motion": {"pan": "right"}},
                STILLS[3],
                STILLS[4] | {"motion": {"pan": "up"}},
            ]
        },
    ),
    "zoom_types, one of each": (
        video_pb2.Img2VidRequest,
        {"images": STILLS[0], "zoom_types": "zoomout"},
        {"images": [STILLS[0] | {"motion": {"zoom_out": True}}]},
    ),
    "video_urls": (video_pb2.ConcatRequest, {"video_urls": [{"video_url": "a"}, "b"]}, {"url_videos": ["a", "b"]}),
    "trilha_sonora": (
        video_pb2.AddAudioRequest,
        {"url_video": "a", "trilha_sonora": "b", "volume_reduction_db": "12"},
        {"url_video": "a", "url_audio": "b", "soundtrack": {"mix": True, "loop": True, "gain": -12}},
    ),
}


@pytest.mark.parametrize(("message", "older", "today"), DONE.values(), ids=DONE)
def test_what_can_be_done_is_done(message, older, today):
    made, notes = read(message, older)
    assert made == same(message, today)
    assert not notes.warnings
    assert not notes.echoes


WARNED = {
    "path": (video_pb2.ConcatRequest, {"url_videos": ["a"], "path": "Channel/videos/"}),
    "normalize": (video_pb2.ConcatRequest, {"url_videos": ["a"], "normalize": True}),
    "trilha_sonora": (video_pb2.AddAudioRequest, {"url_video": "a", "trilha_sonora": "b"}),
    **{
        f"style.{name}": (video_pb2.CaptionRequest, CAPTION | {"style": {name: 3}})
        for name in styles.IGNORED
        if "." not in name
    },
    "style.font.underline": (video_pb2.CaptionRequest, CAPTION | {"style": {"font": {"underline": True}}}),
    "style.border.shadow": (video_pb2.CaptionRequest, CAPTION | {"style": {"border": {"shadow": 2, "style": 3}}}),
    "style.highlight_cor": (
        video_pb2.CaptionRequest,
        CAPTION | {"style": {"highlight_cor": "#D60000", "highlight_texto_cor": "#FFFF00"}},
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_the_result_does_without_is_told(name):
    _, notes = read(*WARNED[name])
    (warning,) = notes.warnings
    assert (warning.reason, warning.metadata["field"]) == (NOT_SUPPORTED, name)
    assert warning.message.startswith(f"{name}: ")
    answer = notes.add_to({"code": 200, "warnings": [{"reason": "OTHER"}]})
    assert [each["reason"] for each in answer["warnings"]] == [NOT_SUPPORTED, "OTHER"]


REFUSED = {
    "type": (video_pb2.CaptionRequest, CAPTION | {"type": "karaoke"}, "must be segments or highlight"),
    "zoom_types": (video_pb2.Img2VidRequest, {"images": STILLS, "zoom_types": ["zoomleft"]}, "must be one of zoomin"),
    "url_audio": (video_pb2.ConcatRequest, {"url_videos": ["a"], "url_audio": "b"}, "then call /video/addaudio"),
    "id_roteiro": (video_pb2.CaptionRequest, CAPTION | {"id_roteiro": [1]}, "must be a number or a string"),
    "volume_reduction_db": (video_pb2.AddAudioRequest, SOUND | {"volume_reduction_db": "x"}, "must be a number"),
    "style.font.weight": (
        video_pb2.CaptionRequest,
        CAPTION | {"style": {"font": {"weight": 1}}},
        "no field of a style",
    ),
    "style.font.size": (video_pb2.CaptionRequest, CAPTION | {"style": {"font": {"size": "big"}}}, "must be a number"),
    "style.position.alignment": (
        video_pb2.CaptionRequest,
        CAPTION | {"style": {"position": {"alignment": 10}}},
        "must be one of bottom_left",
    ),
    "style.fundo_opacidade": (video_pb2.CaptionRequest, CAPTION | {"style": {"fundo_opacidade": 101}}, "out of range"),
    "trilha_sonora": (
        video_pb2.AddAudioRequest,
        SOUND | {"trilha_sonora": "b"},
        "cannot be given together with url_audio",
    ),
    "soundtrack": (video_pb2.AddAudioRequest, SOUND | {"soundtrack": 5, "volume_reduction_db": 1}, "must be an object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused_with_what_to_use(name):
    message, body, text = REFUSED[name]
    with pytest.raises(InvalidArgument, match=text) as refused:
        read(message, body)
    assert list(refused.value.fields) == [name]


def test_an_id_comes_back_and_a_job_is_read_as_its_operation():
    made, notes = read(video_pb2.Img2VidRequest, {"images": STILLS, "id_roteiro": 125})
    assert notes.add_to({"code": 200}) == {"code": 200, "idRoteiro": 125}
    job, notes = video_pb2.Operation(), LegacyNotes()
    decode.merge(job, translate(fields.TABLES, job.DESCRIPTOR, {"img2vid": {"images": STILLS, "path": "x"}}, notes))
    assert job.img2vid == made
    assert len(notes.warnings) == 1


def test_every_row_of_the_tables_is_documented_in_both_languages():
    pages = [(ROOT / "docs" / page).read_text() for page in ("guides/migrate.md", "pt-BR/migrar.md")]
    names = {name for table in fields.TABLES.values() for name in table} - {"style", "words"}
    names |= {path.rpartition(".")[2] for path in (*styles.FIELDS, *styles.OPACITIES, *styles.IGNORED)}
    for page in pages:
        assert {name for name in names if f"`{name}`" not in page and f".{name}`" not in page} == set()


@pytest.mark.parametrize("unit", [{"word": "a", "start": 0, "end": 1}, {}, {"text": 1, "score": 2}, 5, "x"], ids=repr)
def test_words_grow_gently(unit):
    def work(body):
        translate(fields.TABLES, video_pb2.CaptionRequest.DESCRIPTOR, body, LegacyNotes())

    assert_grows_gently(lambda size: {"words": {"segments": [{"words": [unit]}] * size}}, work, 1_000)


def test_stills_grow_gently():
    def work(body):
        translate(fields.TABLES, video_pb2.Img2VidRequest.DESCRIPTOR, body, LegacyNotes())

    assert_grows_gently(lambda size: {"images": STILLS * size, "zoom_types": ["zoomout"] * size}, work, 500)
