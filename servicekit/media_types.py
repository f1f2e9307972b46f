"""Parameters of media types (Content-Type). Source: RFC 9110, 8.3.1 and 8.3.2."""

import re

MAX_CHARS = 1000
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}"
_CHARSET = re.compile(rf";\s*charset\s*=\s*([\"']?)({_NAME})\1\s*(?:;|$)", re.IGNORECASE)


def charset(content_type: str) -> str:
    """Return the `charset` of a Content-Type; "" where it has none, or one that is no name."""
    found = _CHARSET.search(content_type[:MAX_CHARS])
    return found[2] if found else ""


def known_name(name: str) -> str:
    """Return what may be the name of an encoding as it is, anything else as ""."""
    return name if re.fullmatch(_NAME, name) else ""
