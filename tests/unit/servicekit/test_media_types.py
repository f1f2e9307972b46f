import pytest

from servicekit import media_types
from tests.support.growth import assert_grows_gently


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/plain; charset=windows-1251", "windows-1251"),
        ('text/plain;format=flowed; Charset = "Shift_JIS" ; x=y', "Shift_JIS"),
        ("text/plain; charset='utf-8'", "utf-8"),
        ("text/plain", ""),
        ("", ""),
        ("text/plain; charset=", ""),
        ('text/plain; charset="utf-8', ""),
        ("text/plain; charset=a\r\nb: c", ""),
        ("text/plain; charset=" + "a" * 41, ""),
        ("text/plain; x-charset=utf-8", ""),
    ],
)
def test_the_charset_of_a_content_type(content_type, charset):
    assert media_types.charset(content_type) == charset


def test_names():
    assert media_types.known_name("iso-8859-1") == "iso-8859-1"
    assert [media_types.known_name(name) for name in ("", "a b", "é", "a" * 41, "x\n")] == [""] * 5


@pytest.mark.parametrize("part", [";charset=", "; charset = '", ";"])
def test_time_grows_with_the_text(part):
    assert_grows_gently(lambda size: part * size, media_types.charset, 1_000)
