"""Names and types of files."""

import operator

import pytest

from gateway.assets.record import ID, MAX_NAME_BYTES, bare_name, clean_filename, content_type, new_id, parse_name
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("clip.mp4", "clip.mp4"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\clip.mp4", "clip.mp4"),
        ("C:\\Users\\me\\Férias 2.mp4", "Férias 2.mp4"),
        ("..", ""),
        (".", ""),
        ("", ""),
        ("a/", ""),
        (" \t ", ""),
        ("a\r\nSet-Cookie: x\x00.mp4", "aSet-Cookie: x.mp4"),
        ("evil\u202e4pm.exe", "evil4pm.exe"),
        ("bad\ud800.srt", "bad.srt"),
        ('quo"te;s.srt', 'quo"te;s.srt'),
        ("日本語.mp4", "日本語.mp4"),
        ("Fe\u0301rias.mp4", "F\u00e9rias.mp4"),
        (".hidden", ".hidden"),
    ],
)
def test_names_are_made_harmless(given, kept):
    assert clean_filename(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("final.mp4", "final"),
        ("a/b/Final.MOV", "Final"),
        ("final", "final"),
        ("v1.2", "v1.2"),
        ("x.jpg", "x"),
        ("", ""),
    ],
)
def test_a_name_loses_the_ending_of_a_known_type(given, kept):
    assert bare_name(given) == kept


@pytest.mark.parametrize("given", ["x" * 5000 + ".mp4", "日" * 500 + ".mp4", "x." + "y" * 5000])
def test_names_are_bounded_and_keep_their_ending(given):
    name = clean_filename(given)
    assert MAX_NAME_BYTES - 4 < len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith(".mp4") == given.endswith(".mp4")


@pytest.mark.parametrize(
    ("filename", "given", "found"),
    [
        ("a.mp4", "", "video/mp4"),
        ("A.MP4", "", "video/mp4"),
        ("a.srt", "", "application/x-subrip"),
        ("a.png", "", "image/png"),
        ("a.webp", "", "image/webp"),
        ("a.mp3", "", "audio/mpeg"),
        ("a.mkv", "", "video/x-matroska"),
        ("a", "", "application/octet-stream"),
        ("", "", "application/octet-stream"),
        ("a.nonsense", "", "application/octet-stream"),
        ("a.bin", "Video/MP4; codecs=avc1", "video/mp4"),
        ("a.mp4", "text/html\r\nX: y", "video/mp4"),
        ("a.mp4", "nonsense", "video/mp4"),
    ],
)
def test_the_type_is_the_one_given_or_by_the_name(filename, given, found):
    assert content_type(filename, given) == found


def test_ids_are_apart_and_plain():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(ID.fullmatch(one) for one in ids)


def test_a_name_is_assets_and_an_id():
    asset_id = new_id()
    assert parse_name(f"assets/{asset_id}") == asset_id
    for name in (
        asset_id,
        f"asset/{asset_id}",
        f"assets/{asset_id}x",
        "assets/",
        f"assets/{asset_id}\n",
        "assets/../x",
    ):
        with pytest.raises(InvalidArgument):
            parse_name(name)


@pytest.mark.parametrize("part", ["\u0301\u0327", "/", ".", " ", "\u200b", "x"])
def test_names_take_time_in_step_with_their_length(part):
    assert_grows_gently(lambda size: lambda: clean_filename("x" + part * size + ".mp4"), operator.call, 40_000)
