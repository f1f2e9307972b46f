"""Make stills whose colors are said in one way or another, and stills that go wrong."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

LEFT, RIGHT = (60, 160, 60), (200, 60, 40)
"""The samples of the two halves."""
# The same in sRGB, where the samples are those of Display P3, of Adobe RGB, and of light (gamma 1).
P3 = ((0, 164, 40), (218, 42, 23))
LIGHT = ((133, 207, 133), (229, 133, 110))


def halves(size=(128, 64), alpha=None):
    """Return a picture of two colors; its right half has the alpha that is given."""
    width, height = size
    samples = np.empty((height, width, 4), np.uint8)
    samples[:, : width // 2] = (*LEFT, 255)
    samples[:, width // 2 :] = (*RIGHT, 255 if alpha is None else alpha)
    picture = Image.fromarray(samples, "RGBA")
    return picture if alpha is not None else picture.convert("RGB")


def saved(picture, form, **options):
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def matrix_profile(red, green, blue, gamma):
    """Return an ICC profile (version 2) of RGB: the columns of its matrix to XYZ of D50, and its exponent."""
    tags = {b"wtpt": _xyz(0.9642, 1, 0.8249), b"rXYZ": _xyz(*red), b"gXYZ": _xyz(*green), b"bXYZ": _xyz(*blue)}
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def gray_profile(gamma):
    """Return an ICC profile of gray."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return _profile(b"GRAY", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"kTRC": curve})


def ink_profile(lightness):
    """Return an ICC profile of four inks: paper is white, whatever is on it gray of a lightness (0 to 100)."""
    white, gray = bytes((255, 128, 128)), bytes((round(lightness * 2.55), 128, 128))
    ramp = bytes(range(256))
    head = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(65536 * (n in (0, 4, 8)) for n in range(9)))
    table = head + ramp * 4 + white + gray * 15 + ramp * 3
    return _profile(b"CMYK", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"A2B0": table}, kind=b"prtr", space=b"Lab ")


def _xyz(*values):
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(colors, tags, kind=b"mntr", space=b"XYZ "):
    head = struct.pack(">4s4s4s4s4s", b"\x02\x10\0\0", kind, colors, space, bytes(4)).rjust(28, b"\0")
    place, table, body = 128 + 4 + 12 * (len(tags) + 2), b"", b""
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    for name, data in {**tags, b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0\0\0\0"}.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head += bytes(8) + b"acsp" + bytes(28) + struct.pack(">iii", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    head = struct.pack(">I", place + len(body)) + head[4:].ljust(124, b"\0")
    return head + struct.pack(">I", len(tags) + 2) + table + body


DISPLAY_P3 = matrix_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png(*chunks, picture=None):
    """Return a PNG with chunks before its samples: name and data."""
    data = saved(picture or halves(), "PNG")
    made = b"".join(_chunk(name, body) for name, body in chunks)
    return data[:33] + made + data[33:]


def _chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def avif(primaries=1, transfer=13, matrix=6, *, alpha=None, **options):
    """Return an AVIF whose tags (nclx) are these."""
    data = saved(halves(alpha=alpha), "AVIF", quality=98, subsampling="4:4:4", **options)
    place = data.index(b"colrnclx") + 8 if b"colrnclx" in data else 0
    return data[:place] + struct.pack(">HHH", primaries, transfer, matrix) + data[place + 6 :] if place else data
