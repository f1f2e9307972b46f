"""Subtitles in any encoding: told by their mark, by the caller, by a server, or guessed, and then said so."""

import contextlib
import unicodedata

import pytest

from encoder.captions.formats import CharsetError, SubtitleError, decode
from tests.support.encoding_samples import one_line_samples, samples
from tests.support.growth import assert_grows_gently

CUE = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"
RUSSIAN = CUE.format("Здравствуйте, это проверка кодировки.")
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def reasons(decoded):
    return [warning.reason for warning in decoded.warnings]


def test_files_of_many_captions_are_read_in_every_encoding():
    for count in (3, 20):
        for sample in samples(count):
            found = decode(sample.data)
            assert found.text == unicodedata.normalize("NFC", sample.text), sample.name
            assert reasons(found) == ["ENCODING_GUESSED"]
            assert found.warnings[0].metadata["encoding"] == found.encoding
            assert found.encoding in found.warnings[0].message
            assert "charset" in found.warnings[0].message


def test_nearly_all_files_of_one_line_are_read():
    found = [unicodedata.normalize("NFC", text) in decode(data).text for text, data in one_line_samples()]
    assert len(found) > 200
    assert sum(found) >= 0.97 * len(found)


@pytest.mark.parametrize("codec", ["utf-8", *WIDE])
def test_a_byte_order_mark_wins_over_what_is_said(codec):
    data = ("\ufeff" + RUSSIAN).encode(codec)
    assert decode(data).text == RUSSIAN
    assert decode(data).warnings == ()
    said = decode(data, "windows-1251", "koi8-r")
    assert (said.text, reasons(said)) == (RUSSIAN, ["CHARSET_IGNORED"])
    assert decode(data, codec).warnings == ()


@pytest.mark.parametrize("codec", WIDE)
def test_wide_text_without_a_mark_is_a_guess_unless_it_is_said(codec):
    data = RUSSIAN.encode(codec)
    assert (decode(data).text, reasons(decode(data))) == (RUSSIAN, ["ENCODING_GUESSED"])
    for said in (decode(data, codec), decode(data, codec[:6]), decode(data, "", codec)):
        assert (said.text, said.warnings) == (RUSSIAN, ())


def test_utf8_is_no_guess():
    assert decode(RUSSIAN.encode()).warnings == ()
    assert decode(CUE.format("plain").encode()).warnings == ()
    assert decode(RUSSIAN.encode(), "utf8").warnings == ()


@pytest.mark.parametrize(("name", "codec"), [("utf-8", "utf-8"), ("shift_jis", "cp932"), ("utf-16", "utf-16-le")])
def test_a_last_letter_that_is_cut_off_is_borne(name, codec):
    data = CUE.format("日本語").rstrip().encode(codec)[:-1]
    assert decode(data, name).text.endswith("日本\ufffd")
    assert codec == "cp932" or decode(data).text.endswith("日本\ufffd")
    with pytest.raises(CharsetError):
        decode("Да".encode("koi8-r") + b"\n", "utf-8")


def test_letters_that_cannot_be_read_are_told():
    damaged = decode(RUSSIAN.encode() + b"\xff\n" + RUSSIAN.encode())
    assert reasons(damaged) == ["UNREADABLE_LETTERS"]
    assert damaged.warnings[0].metadata == {"encoding": "UTF-8", "letters": "1", "line": "4"}
    assert decode(CUE.format("told: \ufffd").encode()).warnings == ()


@pytest.mark.parametrize("name", ["windows-1251", "CP1251", "Windows_1251", "x-cp1251"])
def test_the_caller_names_the_encoding(name):
    assert decode(RUSSIAN.encode("cp1251"), name, "koi8-r").warnings == ()
    assert decode(RUSSIAN.encode("cp1251"), name, "koi8-r").text == RUSSIAN


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("latin1", "cp1252", "“déjà”"),
        ("gb2312", "gb18030", "朱镕基"),
        ("shift_jis", "cp932", "①髙橋"),
        ("euc-kr", "cp949", "뷁"),
        ("ks_c_5601-1987", "cp949", "한국어"),
        ("iso-2022-jp", "iso2022_jp", "日本語"),
        ("macintosh", "mac-roman", "déjà"),
        ("windows-874", "cp874", "ภาษาไทย"),
        ("ibm866", "cp866", "Привет"),
    ],
)
def test_names_mean_what_they_do_on_the_web(name, codec, text):
    assert decode(CUE.format(text).encode(codec), name).text == CUE.format(text)


@pytest.mark.parametrize(
    "name", ["klingon", "base64", "rot13", "unicode_escape", "idna", "zlib", "x", "../x", "a" * 999]
)
def test_a_name_of_no_encoding(name):
    with pytest.raises(CharsetError, match="no encoding that is known"):
        decode(RUSSIAN.encode("cp1251"), name)
    assert decode(RUSSIAN.encode("cp1251"), "", name).text == RUSSIAN


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("utf-8", "cp1251", "line 3"),
        ("shift_jis", "cp1251", "line 3"),
        ("windows-1251", "utf-8", "is in UTF-8"),
        ("windows-1251", "utf-16-le", "is in UTF-16-LE"),
        ("utf-16", "cp1251", "not in utf-16"),
        ("ascii", "cp1251", "line 3"),
        ("gbk", "cp1251", "line 3"),
    ],
)
def test_an_encoding_that_is_not_the_files(name, codec, text):
    with pytest.raises(CharsetError, match=text):
        decode(RUSSIAN.encode(codec), name)


def test_a_server_is_believed_where_it_can_be():
    koi8 = "Да".encode("koi8-r")  # which could be anything
    assert decode(CUE.encode()[:-3] + koi8, "", "koi8-r").text.endswith("Да")
    assert decode(RUSSIAN.encode("cp1251"), "", "windows-1251").warnings == ()
    # What servers say of every text.
    for default in ("utf-8", "iso-8859-1", "us-ascii"):
        guessed = decode(RUSSIAN.encode("cp1251"), "", default)
        assert (guessed.text, reasons(guessed)) == (RUSSIAN, ["ENCODING_GUESSED"])
        assert decode(RUSSIAN.encode(), "", default).text == RUSSIAN
    assert decode(CUE.format("déjà vu, c'est la vie").encode("cp1252"), "", "iso-8859-1").warnings == ()


def test_what_is_no_text():
    with pytest.raises(SubtitleError, match="is a picture"):
        decode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)


def refused(data):
    with contextlib.suppress(SubtitleError):
        decode(data)


@pytest.mark.parametrize(
    "part", ["Привет\n".encode("cp1251"), b"<\xe9{\xff", b"<<<<\xe9{{{{", b"\x1b$B", b"\xe9\n\r\r"]
)
def test_time_grows_with_the_file(part):
    assert_grows_gently(lambda size: part * size, refused, 1_000)
