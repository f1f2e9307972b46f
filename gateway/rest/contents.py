"""HTTP headers that describe a file."""

from urllib.parse import quote

OCTETS = "application/octet-stream"
# What a browser makes of a stored file may show media, and run and send nothing.
FILE_CSP = (
    "default-src 'none'; media-src 'self'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'"
)


def disposition(kind: str, filename: str) -> str:
    """Content-Disposition: `kind` is "inline" or "attachment". Source: RFC 6266, RFC 8187."""
    if not filename:
        return kind
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in filename)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def is_harmless(content_type: str) -> bool:
    """Whether a browser may open a file of this type in place: media and plain text; SVG can hold scripts and links."""
    is_media = content_type.startswith(("video/", "audio/", "image/")) and not content_type.startswith("image/svg")
    return is_media or content_type == "text/plain"


def media_type(content_type: str) -> str:
    """Content-Type of a file: text without a character set is UTF-8; without any type it is octets."""
    if content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type or OCTETS


def etag(sha256: str) -> str:
    """ETag of a content."""
    return f'"{sha256}"'
