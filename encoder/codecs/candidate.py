"""Which codec a task gets, and why."""

from dataclasses import dataclass

from encoder.codecs.base import Codec


@dataclass(frozen=True)
class Candidate:
    """A codec that a task may have, and why it is this one: for people."""

    codec: Codec
    reason: str

    def instead(self, reason: str) -> "Candidate":
        """The same, for another reason."""
        return Candidate(self.codec, reason)
