"""URLs as they may be told: without what opens something to whoever reads it. Pure.

Secrets stand in queries (signatures, under any name), in front of the host, and in paths: webhooks and bots have them
there.
"""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "***"
# Hosts whose paths are known to have secrets, and the parts of a path that are: the groups of the pattern.
_KNOWN = tuple(
    (re.compile(host, re.IGNORECASE), re.compile(path))
    for host, path in (
        (r"api\.telegram\.org", r"/(?:file/)?bot([^/]+)"),
        (r"hooks\.slack(?:-gov)?\.com", r"/(?:services|workflows|triggers)/(.+)"),
        (r"(?:(?:ptb|canary)\.)?discord(?:app)?\.com", r"/api/(?:v[0-9]+/)?webhooks/([^?]+)"),
        (r"(?:[\w-]+\.)*webhook\.office\.com|outlook\.office(?:365)?\.com", r"/webhook(?:b2)?/(.+)"),
        (r"hooks\.zapier\.com", r"/hooks/(?:catch|standard)/(.+)"),
        (r"hook\.(?:[\w-]+\.)*(?:make|integromat)\.com", r"/(.+)"),
        (r"maker\.ifttt\.com", r"/.*/key/(.+)"),
        (r"(?:[\w-]+\.)*pipedream\.net|webhook\.site", r"/(.+)"),
        (r"open\.(?:feishu\.cn|larksuite\.com)", r"/open-apis/bot/v2/hook/(.+)"),
    )
)
# A path so long that it is not looked at is masked whole.
MAX_PATH_CHARACTERS = 8192
# What chance makes of letters and digits has many short pieces: words, runs of capitals, numbers. What people write has
# few long ones. So many letters of a run, and letters of its pieces at most on average.
_BY_CHANCE = ((10, 2.2), (12, 2.6), (16, 3.3))
_LEAST = 10
_RUN = re.compile(rf"[A-Za-z0-9]{{{_LEAST},}}")
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# Forms that are known: UUIDs, digests in hexadecimal, base32.
_FORM = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32,}\b|\b(?=[a-z]*[2-7])[a-z2-7]{26,}\b", re.IGNORECASE
)
# The last part of a path, where it is the name of a file.
FILE_NAME = re.compile(r"[^/]+\.[A-Za-z][A-Za-z0-9]{1,4}")


def masked_url(source: str) -> str:
    """Return a URL with masks in place of its query and of secrets in its path, and without user, password and
    fragment; anything else as it is."""
    try:
        parts = urlsplit(source)
        host = parts.hostname or ""
    except ValueError:
        return MASK
    if not parts.scheme or not parts.netloc:
        return source
    path = masked_path(host, parts.path)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, MASK if parts.query else "", ""))


def masked_path(host: str, path: str) -> str:
    """Return the path of a URL of that host with masks in place of its secrets: what is known of the host to be one,
    and what looks like a token. The name of a file at its end stays."""
    if len(path) > MAX_PATH_CHARACTERS:
        return f"/{MASK}"
    for known, secret in _KNOWN:
        if known.fullmatch(host) and (found := secret.match(path)) is not None:
            return f"{path[: found.start(1)]}{MASK}{masked_path('', path[found.end(1) :])}"
    *folders, last = path.split("/")
    return "/".join([*map(_masked, folders), last if FILE_NAME.fullmatch(last) else _masked(last)])


def is_token(text: str) -> bool:
    """Return True for part of a path that looks like a secret: of a known form, or letters and digits by chance."""
    if len(text) < _LEAST:
        return False
    text = unquote(text)
    return bool(_FORM.search(text)) or any(map(_is_by_chance, _RUN.findall(text)))


def _is_by_chance(run: str) -> bool:
    piece = len(run) / len(_PIECE.findall(run))
    return any(len(run) >= length and piece <= most for length, most in _BY_CHANCE)


def _masked(part: str) -> str:
    return MASK if is_token(part) else part
