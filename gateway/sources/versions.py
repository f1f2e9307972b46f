"""Versions of files on the web: what a server tells of one by which a later answer is known to be of the same bytes.
Pure. Source: RFC 9110, 8.8 (ETag, Last-Modified)."""

import re

# Of a weak one (W/) the same may stand for other bytes.
STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')
ETAG = re.compile(rf"(?:W/)?{STRONG_ETAG.pattern}")
MODIFIED = re.compile(r"[A-Za-z0-9 ,:+-]{1,64}")
# No header has it.
BETWEEN = "\n"


def version_of(etag: str, modified: str) -> str:
    """Return the version that these headers tell: what of them can be held against those of another answer; "" for
    nothing."""
    told = (etag if ETAG.fullmatch(etag) else "", modified if MODIFIED.fullmatch(modified) else "")
    return BETWEEN.join(told) if any(told) else ""


def are_different(one: str, other: str) -> bool:
    """Return True where versions are of other bytes, by the best that both tell: strong ETags, the times of the last
    change, weak ETags. Of those that have nothing in common it is not known."""
    (etag, modified), (other_etag, other_modified) = (found.partition(BETWEEN)[::2] for found in (one, other))
    if STRONG_ETAG.fullmatch(etag) and STRONG_ETAG.fullmatch(other_etag):
        return etag != other_etag
    if modified and other_modified:
        return modified != other_modified
    # Compared as RFC 9110 does for answers that may be alike: one that is weak here may be strong there.
    return bool(etag and other_etag) and etag.removeprefix("W/") != other_etag.removeprefix("W/")
