"""Web pages in place of files: links of sharing services lead to a page with a button, not to the file."""

import re
from urllib.parse import urlsplit

from encoder.media.info import Source
from servicekit.errors import InvalidArgument

HEAD_BYTES = 64 * 1024
# Before the first tag of a page may stand comments, and the declaration of XML.
BEFORE = r"\s*(?:<\?xml[^<>]{0,200}>\s*)?(?:<!--[^<>]{0,2000}-->\s*){0,3}"
PAGE = re.compile(rf"{BEFORE}<(?:!doctype\s+html|(?:html|head|body|meta|title|script|link)\b)", re.IGNORECASE)
TITLE = re.compile(r"<title[^<>]{0,200}>([^<>]{0,300})", re.IGNORECASE)
UPLOAD = "or upload the file (POST /assets) and give its name"
ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        r"(?:drive|docs)\.google\.com|drive\.usercontent\.google\.com",
        r"Google (?:Drive|Docs|Accounts)",
        "Google Drive: share it with anyone who has the link, and give "
        "https://drive.usercontent.google.com/download?id=ID&export=download&confirm=t with the ID of its link",
    ),
    (r"dropbox\.com", "Dropbox", "Dropbox: let its link end in dl=1 in place of dl=0"),
    (
        r"1drv\.ms|onedrive\.live\.com|onedrive\.com|sharepoint\.com",
        "OneDrive|SharePoint",
        "OneDrive: share it with anyone who has the link, and add download=1 to the link's parameters",
    ),
    (
        r"wetransfer\.com|we\.tl",
        "WeTransfer",
        "WeTransfer: it has no links to files; put the file where there are, such as a bucket or a web server",
    ),
    (r"github\.com", "GitHub", "GitHub: give the link of the button Raw (raw.githubusercontent.com)"),
    (
        r"youtube\.com|youtu\.be|vimeo\.com|tiktok\.com|instagram\.com|facebook\.com",
        "YouTube|Vimeo|TikTok|Instagram|Facebook",
        "video sites: give the file itself, as its owner can download it",
    ),
)
"""Hosts, titles of their pages, and what to do."""


def check_no_page(source: Source, url: str) -> None:
    """Raise InvalidArgument for an input that is a web page; `url` is where it came from, or ""."""
    with source.path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("latin-1").lstrip("\xef\xbb\xbf\x00")
    if not PAGE.match(head):
        return
    advice = _advice(url, head) or "give a link at which the download begins at once"
    text = f"a web page came in place of the file. {advice[0].upper()}{advice[1:]}; {UPLOAD}."
    raise InvalidArgument.field(source.field, text, reason="WEB_PAGE")


def _advice(url: str, head: str) -> str:
    """Return what to do by the host of the link, or by the page's title."""
    host = (urlsplit(url).hostname or "") if "://" in url else ""
    title = TITLE.search(head)
    by_host = (advice for hosts, _, advice in ADVICE if re.fullmatch(rf"(?:.*\.)?(?:{hosts})", host))
    by_title = (advice for _, titles, advice in ADVICE if title and re.search(titles, title[1]))
    return next(by_host, "") or next(by_title, "")
