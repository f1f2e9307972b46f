"""Presigned URLs of buckets: what one PUT takes, and the headers that it needs."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

# Of one PUT, and of one copy. Source: Amazon S3, "Uploading objects", "Copying objects".
MAX_PUT_BYTES = 5 * 1024**3
MAX_QUERY_FIELDS = 50


def presigned_headers(url: str, given: Mapping[str, str], content_type: str) -> dict[str, str]:
    """Return the headers of a PUT to a presigned URL: those that its owner gives, and what its store asks for."""
    query = urlsplit(url).query
    named = parse_qs(query, max_num_fields=MAX_QUERY_FIELDS) if query.count("&") < MAX_QUERY_FIELDS else {}
    headers = dict(given)
    if {"sig", "sv"} <= named.keys():  # of Azure: the kind of the new blob
        headers = with_default(headers, "x-ms-blob-type", "BlockBlob")
    # Of the second version of signatures the media type is a part: one that it was not signed with breaks it.
    is_of_version_2 = "Signature" in named and bool({"AWSAccessKeyId", "GoogleAccessId"} & named.keys())
    return headers if is_of_version_2 else with_default(headers, "Content-Type", content_type)


def with_default(headers: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    """Return the headers with one more, unless they have it."""
    has_it = any(given.lower() == name.lower() for given in headers)
    return dict(headers) if has_it else {**headers, name: value}
