"""Files that are often given for an image and are none that is read here, told by their first bytes, each with what to
do.

Sources: the formats' own specifications, and the list of signatures of `file` (libmagic) for cameras' own formats.
"""

import re

from encoder.media.info import Source, bad_input

HEAD_BYTES = 1024
SAVE = "save it as PNG or JPEG"
WEB_PAGE = (
    "it is a web page and no image; give the link to the file itself, which opens as the image alone in a browser."
)
RAW = "it is a camera's raw file, which is not developed here; export it as JPEG, PNG or TIFF."
NAMED: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), text)
    for pattern, text in (
        (rb"(\xef\xbb\xbf)?\s*(<!--.{0,500}?-->\s*)?<(!doctype\s+html|html|head|body)\b", WEB_PAGE),
        (
            rb"(\xef\xbb\xbf)?\s*(<\?xml.{0,500}?\?>)?(\s|<!--.{0,500}?-->|<!doctype\s+svg.{0,500}?>)*<svg\b",
            f"it is an SVG drawing; {SAVE}.",
        ),
        (rb"%PDF-", f"it is a PDF; {SAVE}, page by page."),
        (rb"%!PS|\xc5\xd0\xd3\xc6", f"it is PostScript; {SAVE}."),
        (rb"8BPS", f"it is a Photoshop document; {SAVE}."),
        (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", f"it is JPEG XL, which is not read here; {SAVE}."),
        (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n", f"it is JPEG 2000, which is not read here; {SAVE}."),
        (rb"\0\0[\1\2]\0[^\0]", f"it is an icon; {SAVE}."),
        (
            rb"\x76\x2f\x31\x01|#\?R",
            f"it is an image of high dynamic range (EXR, HDR), which is not read here; {SAVE}.",
        ),
        (rb"gimp xcf", f"it is a GIMP document; {SAVE}."),
        (rb"II\x2a\0....CR|II[RUT]\0|II\x55\0|IIR[OS]|MMOR|FUJIFILM|FOVb|\0MRM|....ftypcrx", RAW),
    )
)


def check_image(source: Source) -> None:
    """Raise InvalidArgument for a file of a kind that is known, and not read as an image."""
    with source.path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for pattern, text in NAMED:
        if pattern.match(head):
            raise bad_input(source, text)
