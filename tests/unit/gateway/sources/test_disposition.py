"""The filename in Content-Disposition: what servers write, and what would take a parser long."""

import time

import pytest

from gateway.sources.disposition import filename


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('attachment; filename="my \\"clip\\".mp4"', 'my "clip".mp4'),
        ("attachment; filename*=UTF-8''f%C3%A9rias.srt", "férias.srt"),
        ("attachment; filename=\"b.mp4\"; filename*=UTF-8'en'f%C3%A9.srt", "fé.srt"),
        ("attachment; filename*=ISO-8859-1''f%e9.srt; filename=b.mp4", "fé.srt"),
        ("attachment; filename*=UTF-8''%ff; filename=b.mp4", "b.mp4"),
        ("attachment; filename*=utf-7''x; filename=b.mp4", "b.mp4"),
        ("attachment; filename*=x", ""),
        ('inline; filename="a;b=c.mp4"; size=3', "a;b=c.mp4"),
        ("ATTACHMENT ;FILENAME = clip one.mp4 ;x=y", "clip one.mp4"),
        ("attachment; filename=a.mp4; filename=b.mp4", "a.mp4"),
        ('attachment; name="filename=x.mp4"', ""),
        ('attachment; filename="férias.srt"'.encode().decode("latin-1"), "férias.srt"),
        ('attachment; filename="f\xe9rias.srt"', "férias.srt"),
        ("attachment", ""),
        ("", ""),
    ],
)
def test_names(header, expected):
    assert filename(header) == expected


@pytest.mark.parametrize(
    "piece", [";", '"', "\\", '\\"', ";a=", ';a="', ";a*0=", "; ", "=", " ", "%", "'", ';filename="\\', ";filename*=a'"]
)
def test_the_time_grows_no_faster_than_the_length(piece):
    took = []
    for count in (20_000, 40_000, 80_000):
        began = time.process_time()
        filename("attachment" + piece * count)
        took.append(time.process_time() - began)
    assert took[-1] < 5 * took[0] + 0.05
