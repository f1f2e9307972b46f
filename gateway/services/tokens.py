"""What callers hand back to go on where they stopped: tokens of pages, and ids of the events of a watch."""

import re
from dataclasses import dataclass

from gateway.assets.links import LinkSigner
from gateway.jobs.listing import JobFilter
from servicekit.errors import InvalidArgument


@dataclass(frozen=True)
class PageTokens:
    """Tokens of pages, signed: one that was changed, or is of another list, would lead anywhere."""

    signer: LinkSigner

    def make(self, place: str, wanted: JobFilter | str) -> str:
        """Return the token of the page after this place, like the id of a job, in a list; "" after none."""
        return self.signer.seal(place, _purpose(wanted)) if place else ""

    def read(self, token: str, wanted: JobFilter | str) -> str:
        """Return the place before the page; "" for the first page. Raises InvalidArgument."""
        if not token:
            return ""
        place = self.signer.unseal(token, _purpose(wanted))
        if place is None:
            text = "is no token of this list; give `next_page_token` of the page before, and the same filters."
            raise InvalidArgument.field("page_token", text, reason="BAD_PAGE_TOKEN")
        return place


def _purpose(wanted: JobFilter | str) -> str:
    return f"page of jobs {wanted!r}"


END = "end"
# The bits of a thousand images, the most that a batch may have.
_PLACE = re.compile("[0-9a-f]{1,250}")


@dataclass(frozen=True)
class EventId:
    """Where a watch of a job stands: which images of a batch it has told, and whether it has told the end.

    The text is "<job>/<images as the bits of a hexadecimal number>", or "<job>/end".
    """

    job_id: str
    items: frozenset[int] = frozenset()
    is_end: bool = False

    @classmethod
    def parse(cls, text: str, job_id: str) -> "EventId":
        """Return the place that a text names; the start of the watch for what is none, or is one of another job."""
        owner, _, place = text.rpartition("/")
        if owner != job_id:
            return cls(job_id)
        if place == END:
            return cls(job_id, is_end=True)
        bits = int(place, 16) if _PLACE.fullmatch(place) else 0
        return cls(job_id, frozenset(index for index in range(bits.bit_length()) if bits >> index & 1))

    def __str__(self) -> str:
        bits = sum(1 << index for index in self.items)
        return f"{self.job_id}/{END if self.is_end else format(bits, 'x')}"
